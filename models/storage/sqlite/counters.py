"""Counters in SQLite. Their table has the name of what was counted first."""

from collections.abc import Collection, Mapping
from datetime import datetime

from models.records import Counted
from models.storage.batches import storable
from models.storage.sqlite.database import Database
from models.storage.sqlite.lookups import Query
from models.storage.sqlite.schema import milliseconds, moment
from models.storage.sqlite.steps import STEP, in_steps

FIND = "SELECT key, n, last FROM failures WHERE key IN (%s) AND expires_at > ?"
# Counting from zero where the counter is overdue.
ADD = """
INSERT INTO failures (key, n, last, expires_at) VALUES (:key, 1, :now, :expires_at)
ON CONFLICT (key) DO UPDATE SET
    n = iif(expires_at > :now, n, 0) + 1,
    last = iif(expires_at > :now, max(last, :now), :now),
    expires_at = max(expires_at, :expires_at)
"""
TAKE = f"{ADD} RETURNING n"
PURGE = "DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires_at <= ? LIMIT ?)"

_SWEEP = 20  # overdue counters that go with each count, so that none is left for long where nobody purges

_FIND = Query(FIND)


class SqliteCounters:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, keys: Collection[str], *, now: datetime) -> Mapping[str, Counted]:
        rows = _FIND.rows(self._database, storable(keys), milliseconds(now))
        return {key: Counted(count, moment(last)) for key, count, last in rows}

    def add(self, keys: Collection[str], *, now: datetime, expires_at: datetime) -> None:
        if not keys:
            return
        time, end = milliseconds(now), milliseconds(expires_at)
        with self._database.writing() as connection:
            connection.executemany(ADD, [{"key": key, "now": time, "expires_at": end} for key in dict.fromkeys(keys)])
            connection.execute(PURGE, (time, _SWEEP))

    def take(self, key: str, *, now: datetime, expires_at: datetime) -> int:
        time, end = milliseconds(now), milliseconds(expires_at)
        with self._database.writing() as connection:
            count: int
            [(count,)] = connection.execute(TAKE, {"key": key, "now": time, "expires_at": end}).fetchall()
            connection.execute(PURGE, (time, _SWEEP))
            return count

    def purge(self, *, now: datetime) -> int:
        overdue = (milliseconds(now), STEP)
        return in_steps(self._database, lambda connection: connection.execute(PURGE, overdue).rowcount)
