"""Expiring records in SQLite."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from models.errors import RecordExistsError
from models.events import Event
from models.records import CLOCKS_DIFFER, Record, Use
from models.storage.batches import batches
from models.storage.keyset import is_storable
from models.storage.sqlite.audit import add_events, event_rows
from models.storage.sqlite.database import Database
from models.storage.sqlite.driver import Connection, conflict_raises
from models.storage.sqlite.schema import milliseconds, moment
from models.storage.sqlite.steps import STEP, in_steps
from models.storage.telling import Telling, untold
from models.storage.unreadable import make_record, readable_records

_COLUMNS = ("kind", "id", "expires_at", "user_id", "epoch", "data", "created_at", "used_at")
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM records"

FIND = f"{SELECT} WHERE kind = ? AND id = ? AND expires_at > ?"
OF_USER = f"{SELECT} INDEXED BY records_of_user WHERE user_id = ? AND kind = ? AND expires_at > ?"
INSERT = f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
NOTE_USE = """
UPDATE records SET used_at = max(used_at, ?), expires_at = max(expires_at, ?)
WHERE kind = ? AND id = ? AND expires_at > ? AND used_at <= ?
"""
DELETE = "DELETE FROM records WHERE kind = ? AND id = ?"
_DELETE_FOUND = "DELETE FROM records WHERE (kind, id) IN (SELECT kind, id FROM records WHERE"
DELETE_OF_USER = f"{_DELETE_FOUND} user_id = ? LIMIT ?)"
RETURNING_OF_USER = f"DELETE FROM records WHERE user_id = ? AND kind = ? AND id <> ? RETURNING {', '.join(_COLUMNS)}"
DELETE_OLDEST = """
DELETE FROM records WHERE (kind, id) IN (
    SELECT kind, id FROM records INDEXED BY records_of_user WHERE user_id = ? AND kind = ? AND expires_at > ?
    ORDER BY created_at > ?, created_at DESC, id DESC LIMIT ? OFFSET ?)
"""
PURGE = f"{_DELETE_FOUND} expires_at <= ? LIMIT ?)"

_SWEEP = 20  # overdue records that go with each one put in


def delete_some_records(connection: Connection, user_id: str) -> int:
    """Remove at most ``STEP`` of a user's records; return how many."""
    return connection.execute(DELETE_OF_USER, (user_id, STEP)).rowcount


class SqliteRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, record: Record, *, now: datetime, most: int | None = None, events: Sequence[Event] = ()) -> None:
        time = milliseconds(now)
        with self._database.writing() as connection:
            connection.execute(f"{DELETE} AND expires_at <= ?", (record.kind, record.id, time))
            connection.execute(PURGE, (time, _SWEEP))
            with conflict_raises(RecordExistsError):
                connection.execute(INSERT, _row(record))
            if most is not None:
                ahead = milliseconds(now + CLOCKS_DIFFER)
                connection.execute(DELETE_OLDEST, (record.user_id, record.kind, time, ahead, STEP, most))
            add_events(connection, event_rows(events))

    def find(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        if not (is_storable(kind) and is_storable(record_id)):
            return None
        rows = self._database.rows(FIND, (kind, record_id, milliseconds(now)))
        return next(readable_records(rows, record_from), None)

    def of_user(self, user_id: str, kinds: Collection[str], *, now: datetime) -> list[Record]:
        if not is_storable(user_id):
            return []
        time = milliseconds(now)
        rows = chain.from_iterable(
            self._database.rows(OF_USER, (user_id, kind, time)) for kind in filter(is_storable, kinds)
        )
        return sorted(readable_records(rows, record_from), key=lambda record: record.created_at, reverse=True)

    def note_uses(self, uses: Sequence[Use], *, now: datetime) -> None:
        time = milliseconds(now)
        rows = [
            (
                milliseconds(use.used_at),
                milliseconds(use.expires_at),
                *(use.kind, use.id, time),
                milliseconds(use.unless_after),
            )
            for use in uses
        ]
        for some in batches(rows, STEP):
            with self._database.writing() as connection:
                connection.executemany(NOTE_USE, some)

    def delete(self, kind: str, record_id: str, *, events: Sequence[Event] = ()) -> bool:
        if not (is_storable(kind) and is_storable(record_id)):
            return False
        with self._database.writing() as connection:
            is_gone = connection.execute(DELETE, (kind, record_id)).rowcount == 1
            add_events(connection, event_rows(events if is_gone else ()))
            return is_gone

    def delete_of(
        self, user_id: str, kinds: Collection[str], *, but: str | None = None, told: Telling = untold
    ) -> list[Record]:
        if not is_storable(user_id):
            return []
        with self._database.writing() as connection:
            rows = [
                row
                for kind in filter(is_storable, kinds)
                for row in connection.execute(RETURNING_OF_USER, (user_id, kind, but or "")).fetchall()
            ]
            removed = list(readable_records(rows, record_from))
            add_events(connection, event_rows(told(removed)))
            return removed

    def purge(self, *, now: datetime) -> int:
        overdue = (milliseconds(now), STEP)
        return in_steps(self._database, lambda connection: connection.execute(PURGE, overdue).rowcount)


def _row(record: Record) -> Sequence[Any]:
    return (
        record.kind,
        record.id,
        milliseconds(record.expires_at),
        record.user_id,
        record.epoch,
        json.dumps(dict(record.data)),
        milliseconds(record.created_at),
        milliseconds(record.used_at),
    )


def record_from(row: Sequence[Any]) -> Record:
    kind, record_id, expires_at, user_id, epoch, data, created_at, used_at = row
    return make_record(
        data,
        kind=kind,
        id=record_id,
        created_at=moment(created_at),
        used_at=moment(used_at),
        expires_at=moment(expires_at),
        user_id=user_id,
        epoch=epoch,
    )
