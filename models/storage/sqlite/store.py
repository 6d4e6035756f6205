"""The store on one SQLite file: durable, for one machine, and with nothing to install."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from models.errors import (
    EmailInUseError,
    LastAdminError,
    RevisionMismatchError,
    TokenInUseError,
    UserExistsError,
)
from models.events import Event
from models.storage import Found, UserKey
from models.storage.changes import require_first_admin, require_same_identity
from models.storage.keyset import key_range
from models.storage.sqlite import setup as sqlite_setup
from models.storage.sqlite.audit import Rows, SqliteAudit, add_events, event_rows
from models.storage.sqlite.counters import SqliteCounters
from models.storage.sqlite.database import Database
from models.storage.sqlite.driver import Connection, conflict_raises
from models.storage.sqlite.lookups import FIND_BY_ID, SqliteLookups, asking
from models.storage.sqlite.meta import SqliteMeta
from models.storage.sqlite.records import SqliteRecords, delete_some_records
from models.storage.sqlite.schema import COLUMNS, VERSION, user_from, user_row
from models.storage.sqlite.steps import STEP
from models.user import ListedName, OAuth, User, UserGroup

_GUARDING = "user_group = 'admin' AND disabled = 0 AND password_hash IS NOT NULL AND oauth = 0"
_GUARDS = "users INDEXED BY users_guarding"
_FIND_BY_ID = asking(FIND_BY_ID, 1)

HAS_ADMIN = f"SELECT EXISTS (SELECT 1 FROM {_GUARDS} WHERE {_GUARDING})"
HAS_OTHER_ADMIN = f"SELECT EXISTS (SELECT 1 FROM {_GUARDS} WHERE {_GUARDING} AND id <> ?)"
INSERT = f"INSERT INTO users ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{column}' for column in COLUMNS)})"
UPDATE = f"UPDATE users SET {', '.join(f'{column} = :{column}' for column in COLUMNS[1:])} WHERE id = :id"


class SqliteStore:
    """See ``models.storage.Store``.

    ``patience`` is in seconds: how long a call waits for others to write before it raises ``UnavailableError``.
    """

    kind = "sqlite"
    schema_version: int | None = VERSION

    def __init__(self, path: Path, *, patience: float = 3.0) -> None:
        self._database = Database(path, patience=patience)
        self._lookups = SqliteLookups(self._database)
        self.records = SqliteRecords(self._database)
        self.counters = SqliteCounters(self._database)
        self.audit = SqliteAudit(self._database)
        self._meta = SqliteMeta(self._database)

    def prepare(self) -> None:
        sqlite_setup.prepare(self._database)

    def ping(self) -> None:
        self._database.rows("SELECT value FROM meta LIMIT 1")

    def close(self) -> None:
        self._database.close()

    def insert(self, users: Sequence[User], events: Sequence[Event]) -> None:
        rows = [user_row(user) for user in users]  # before the turn to write, which others wait for
        told = event_rows(events)
        with self._database.writing() as connection:
            _insert(connection, users, rows)
            add_events(connection, told)

    def insert_first_admin(self, user: User, events: Sequence[Event]) -> bool:
        require_first_admin(user)
        with self._database.writing() as connection:
            if connection.execute(HAS_ADMIN).fetchone()[0]:
                return False
            _insert(connection, [user], [user_row(user)])
            add_events(connection, event_rows(events))
            return True

    def has_admin(self) -> bool:
        [[found]] = self._database.rows(HAS_ADMIN)
        return bool(found)

    def find_users(self, keys: Collection[UserKey]) -> Mapping[UserKey, Found]:
        return self._lookups.by_name(keys)

    def find_users_by_id(self, ids: Collection[str]) -> Mapping[str, Found]:
        return self._lookups.by_id(ids)

    def find_users_by_token(self, digests: Collection[str]) -> Mapping[str, Found]:
        return self._lookups.by_token(digests)

    def replace(self, before: User, after: User, events: Sequence[Event]) -> None:
        require_same_identity(before, after)
        told = event_rows(events)
        with self._database.writing() as connection:
            stored = _expect(connection, before)
            with conflict_raises(UserExistsError):
                connection.execute(UPDATE, user_row(after))
            if stored.is_guarding_admin and not after.is_guarding_admin:
                _require_other_admin(connection, stored)
            if stored.email_key != after.email_key:
                _remove_email(connection, stored)
                _add_emails(connection, [after])
            if stored.token_digests != after.token_digests:
                _remove_tokens(connection, stored)
                _add_tokens(connection, [after])
            add_events(connection, told)

    def delete(self, user: User, events: Sequence[Event]) -> None:
        told = event_rows(events)
        # Each turn removes some records, and the one that removes the last of them removes the user as well.
        while not self._delete_in_part(user, told):
            pass

    def _delete_in_part(self, user: User, told: Rows) -> bool:
        """Remove some of the user's records, or the rest of them with the user; return whether the user is gone."""
        with self._database.writing() as connection:
            stored = _expect(connection, user)
            if stored.is_guarding_admin:
                _require_other_admin(connection, stored)
            if delete_some_records(connection, stored.id) == STEP:
                return False
            _remove_email(connection, stored)
            _remove_tokens(connection, stored)
            connection.execute("DELETE FROM users WHERE id = ?", (stored.id,))
            add_events(connection, told)
            return True

    def list_names(
        self,
        *,
        limit: int,
        oauth: OAuth = 0,
        after: str | None = None,
        before: str | None = None,
        prefix: str = "",
        user_group: UserGroup | None = None,
    ) -> list[ListedName]:
        keys = key_range(after=after, before=before, prefix=prefix)
        if keys is None or limit < 1:
            return []
        is_backward = before is not None
        query = listing(bounded=keys.high is not None, grouped=user_group is not None, backward=is_backward)
        values = {"oauth": oauth, "low": keys.low, "high": keys.high, "user_group": user_group, "limit": limit}
        with self._database.reading() as connection:
            rows = [ListedName(*row) for row in connection.execute(query, values)]
        return rows[::-1] if is_backward else rows

    def purge(self, *, now: datetime) -> int:
        return self.records.purge(now=now) + self.counters.purge(now=now)

    def adopt_key_id(self, key_id: str, *, known: Collection[str], events: Sequence[Event] = ()) -> bool:
        return self._meta.adopt_key_id(key_id, known=known, events=events)

    def raise_highest_cost(self, cost: int) -> int:
        return self._meta.raise_highest_cost(cost)

    def note_foreign_hashes(self, recipes: Collection[str]) -> Collection[str]:
        return self._meta.note_foreign_hashes(recipes)


def listing(*, bounded: bool, grouped: bool, backward: bool) -> str:
    """Return the query for a page of names, which an index alone can answer; ``backward``, from the last one on."""
    conditions = ["oauth = :oauth", "name_key >= :low"]
    if bounded:
        conditions.append("name_key < :high")
    if grouped:
        conditions.append("user_group = :user_group")
    index = "users_listed_by_group" if grouped else "users_listed"
    return (
        f"SELECT name_key, user_name FROM users INDEXED BY {index} WHERE {' AND '.join(conditions)}"
        f" ORDER BY name_key {'DESC' if backward else 'ASC'} LIMIT :limit"
    )


def _insert(connection: Connection, users: Sequence[User], rows: Sequence[Mapping[str, object]]) -> None:
    with conflict_raises(UserExistsError):
        connection.executemany(INSERT, rows)
    _add_emails(connection, users)
    _add_tokens(connection, users)


def _expect(connection: Connection, user: User) -> User:
    row = connection.execute(_FIND_BY_ID, (user.id,)).fetchone()
    stored = None if row is None else user_from(row)
    if stored is None or stored.revision != user.revision:
        raise RevisionMismatchError
    return stored


def _require_other_admin(connection: Connection, user: User) -> None:
    if not connection.execute(HAS_OTHER_ADMIN, (user.id,)).fetchone()[0]:
        raise LastAdminError


def _add_emails(connection: Connection, users: Iterable[User]) -> None:
    with conflict_raises(EmailInUseError):
        connection.executemany(
            "INSERT INTO emails (email_key, user_id) VALUES (?, ?)",
            [(user.email_key, user.id) for user in users if user.email_key is not None],
        )


def _remove_email(connection: Connection, user: User) -> None:
    connection.execute("DELETE FROM emails WHERE email_key = ?", (user.email_key,))


def _add_tokens(connection: Connection, users: Iterable[User]) -> None:
    with conflict_raises(TokenInUseError):
        connection.executemany(
            "INSERT INTO tokens (digest, user_id) VALUES (?, ?)",
            [(digest, user.id) for user in users for digest in dict.fromkeys(user.token_digests)],
        )


def _remove_tokens(connection: Connection, user: User) -> None:
    connection.executemany("DELETE FROM tokens WHERE digest = ?", [(digest,) for digest in user.token_digests])
