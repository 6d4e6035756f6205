"""The tables of a SQLite database, and how users are laid out in them. Times are integer milliseconds, UTC."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from models.errors import CorruptRecordError
from models.user import USER_GROUPS, User

APPLICATION_ID = 0x646F6F72  # "door": tells the file from other programs' databases
VERSION = 1

# Addresses and digests have tables of their own, as in MongoDB, so that names are checked for all users of one insert
# before any address is, and addresses before any token: the stores must agree on which error comes first.
TABLES = """
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    oauth INTEGER NOT NULL,
    password_hash TEXT,
    token_hash TEXT NOT NULL,
    token_digests TEXT NOT NULL,
    name TEXT,
    email TEXT,
    email_key TEXT,
    user_group TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_by_name ON users (name_key, oauth);
CREATE INDEX users_listed ON users (oauth, name_key, user_name);
CREATE INDEX users_listed_by_group ON users (oauth, user_group, name_key, user_name);
CREATE INDEX users_guarding ON users (id)
    WHERE user_group = 'admin' AND disabled = 0 AND password_hash IS NOT NULL AND oauth = 0;
CREATE TABLE emails (email_key TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (digest TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    user_id TEXT,
    epoch INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_of_user ON records (user_id, kind) WHERE user_id IS NOT NULL;
CREATE INDEX records_by_expiry ON records (expires_at);
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

COLUMNS = tuple(field.name for field in fields(User))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """Return a UTC time as whole milliseconds since 1970, in integers alone, so that nothing is rounded."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND


def user_row(user: User) -> dict[str, Any]:
    row = {column: getattr(user, column) for column in COLUMNS}
    row["token_digests"] = json.dumps(user.token_digests)
    row["created_at"] = milliseconds(user.created_at)
    row["updated_at"] = milliseconds(user.updated_at)
    return row


def user_from(row: Sequence[Any]) -> User:
    """Build the user from its ``COLUMNS``. Raises ``CorruptRecordError`` for what another program has written there."""
    values = dict(zip(COLUMNS, row, strict=True))
    try:
        digests = json.loads(values["token_digests"])
        if values["user_group"] not in USER_GROUPS or not all(isinstance(digest, str) for digest in digests):
            raise CorruptRecordError(str(values["id"]))
        values["token_digests"] = tuple(digests)
        values["disabled"] = bool(values["disabled"])
        values["created_at"] = moment(values["created_at"])
        values["updated_at"] = moment(values["updated_at"])
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptRecordError(str(values["id"])) from error
    return User(**values)
