"""The tables of a SQLite database, and how users are laid out in them. Times are integer milliseconds, UTC."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from models.errors import CorruptRecordError
from models.storage import Found
from models.storage.layout import FIELDS, build_user
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
    created_at INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_of_user ON records (user_id, kind) WHERE user_id IS NOT NULL;
CREATE INDEX records_by_expiry ON records (expires_at);
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
# What came later without a new version: files that lack it get it, and earlier releases serve files that have it.
ADDED = """
CREATE TABLE IF NOT EXISTS failures (
    key TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL,
    last INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS failures_by_expiry ON failures (expires_at);
CREATE TABLE IF NOT EXISTS audit (id TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_terms (
    term TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (term, id)
) STRICT, WITHOUT ROWID;
"""

ADDED_COLUMNS = {"records": dict.fromkeys(("created_at", "used_at"), "INTEGER NOT NULL DEFAULT 0")}

COLUMNS = FIELDS


def added_names() -> list[str]:
    """Return the tables and indexes that came later."""
    return re.findall(r"IF NOT EXISTS (\w+)", ADDED)


_DIGESTS, _GROUP, _DISABLED, _CREATED_AT, _UPDATED_AT = map(
    COLUMNS.index, ("token_digests", "user_group", "disabled", "created_at", "updated_at")
)
_TEXTS = frozenset({str})
_read_json = json.JSONDecoder().raw_decode  # leaves out what ``json.loads`` does about it, which is most

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


def found_from(row: Sequence[Any]) -> Found:
    """Build the user from its ``COLUMNS``, or the error for what another program has written there."""
    values = list(row)
    try:
        digests, end = _read_json(values[_DIGESTS])
        if (
            end != len(values[_DIGESTS])
            or type(digests) is not list
            or values[_GROUP] not in USER_GROUPS
            or not _TEXTS.issuperset(map(type, digests))
        ):
            return CorruptRecordError(str(values[0]))
        values[_DIGESTS] = tuple(digests)
        values[_DISABLED] = bool(values[_DISABLED])
        values[_CREATED_AT] = moment(values[_CREATED_AT])
        values[_UPDATED_AT] = moment(values[_UPDATED_AT])
    except (ValueError, TypeError, OverflowError):
        return CorruptRecordError(str(values[0]))
    return build_user(values)


def user_from(row: Sequence[Any]) -> User:
    """Build the user from its ``COLUMNS``. Raises ``CorruptRecordError`` for what another program has written there."""
    found = found_from(row)
    if isinstance(found, CorruptRecordError):
        raise found
    return found
