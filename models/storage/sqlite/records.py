"""Expiring records, the key's id and the highest cost in SQLite."""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from models.errors import RecordExistsError
from models.records import Record
from models.storage.keyset import is_storable
from models.storage.sqlite.database import Connection, Database, conflict_raises
from models.storage.sqlite.failures import PURGE as PURGE_FAILURES
from models.storage.sqlite.schema import milliseconds, moment

FIND = "SELECT expires_at, user_id, epoch, data FROM records WHERE kind = ? AND id = ? AND expires_at > ?"
DELETE = "DELETE FROM records WHERE kind = ? AND id = ?"
_DELETE_FOUND = "DELETE FROM records WHERE (kind, id) IN (SELECT kind, id FROM records WHERE"
DELETE_OF_USER = f"{_DELETE_FOUND} user_id = ? LIMIT ?)"
DELETE_OF_USER_AND_KIND = f"{_DELETE_FOUND} user_id = ? AND kind = ? LIMIT ?)"
PURGE = f"{_DELETE_FOUND} expires_at <= ? LIMIT ?)"
HIGHEST_COST = "SELECT value FROM meta WHERE key = 'highest_cost'"

DELETE_STEP = 500  # records in one transaction: a few milliseconds


def delete_some_records(connection: Connection, user_id: str, kind: str | None = None) -> int:
    """Remove at most ``DELETE_STEP`` of a user's records; return how many."""
    if kind is None:
        return connection.execute(DELETE_OF_USER, (user_id, DELETE_STEP)).rowcount
    return connection.execute(DELETE_OF_USER_AND_KIND, (user_id, kind, DELETE_STEP)).rowcount


class SqliteRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, record: Record, *, now: datetime) -> None:
        with self._database.writing() as connection:
            connection.execute(
                f"{DELETE} AND expires_at <= ?",
                (record.kind, record.id, milliseconds(now)),
            )
            with conflict_raises(RecordExistsError):
                connection.execute(
                    "INSERT INTO records (kind, id, expires_at, user_id, epoch, data) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        record.kind,
                        record.id,
                        milliseconds(record.expires_at),
                        record.user_id,
                        record.epoch,
                        json.dumps(dict(record.data)),
                    ),
                )

    def find(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        if not (is_storable(kind) and is_storable(record_id)):
            return None
        rows = self._database.rows(FIND, (kind, record_id, milliseconds(now)))
        if not rows:
            return None
        [(expires_at, user_id, epoch, data)] = rows
        return Record(
            kind=kind,
            id=record_id,
            expires_at=moment(expires_at),
            user_id=user_id,
            epoch=epoch,
            data=json.loads(data),
        )

    def delete(self, kind: str, record_id: str) -> bool:
        if not (is_storable(kind) and is_storable(record_id)):
            return False
        with self._database.writing() as connection:
            return connection.execute(DELETE, (kind, record_id)).rowcount == 1

    def delete_of(self, user_id: str, kind: str | None) -> int:
        if not (is_storable(user_id) and is_storable(kind or "")):
            return 0
        return self._in_steps(lambda connection: delete_some_records(connection, user_id, kind))

    def purge(self, *, now: datetime) -> int:
        overdue = (milliseconds(now), DELETE_STEP)
        return self._in_steps(lambda connection: connection.execute(PURGE, overdue).rowcount) + self._in_steps(
            lambda connection: connection.execute(PURGE_FAILURES, overdue).rowcount
        )

    def _in_steps(self, delete: Callable[[Connection], int]) -> int:
        """Delete in one turn after the other until a step is not full, so that other writers get theirs between."""
        total = 0
        while True:
            with self._database.writing() as connection:
                deleted = delete(connection)
            total += deleted
            if deleted < DELETE_STEP:
                return total

    def adopt_key_id(self, key_id: str, *, known: Collection[str]) -> bool:
        with self._database.writing() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
            if row is not None and row[0] != key_id and row[0] not in known:
                return False
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('key_id', ?)", (key_id,))
            return True

    def raise_highest_cost(self, cost: int) -> int:
        if (highest := _highest_cost(self._database.rows(HIGHEST_COST))) >= cost:
            return highest
        with self._database.writing() as connection:
            highest = max(cost, _highest_cost(connection.execute(HIGHEST_COST).fetchall()))
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('highest_cost', ?)", (str(highest),))
            return highest


def _highest_cost(rows: Sequence[Sequence[str]]) -> int:
    return int(rows[0][0]) if rows else 0
