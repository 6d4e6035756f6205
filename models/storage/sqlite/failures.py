"""Counters of failures in SQLite."""

from collections.abc import Collection, Mapping
from datetime import datetime

from models.storage import Failures
from models.storage.batches import storable
from models.storage.sqlite.database import Database
from models.storage.sqlite.lookups import Query
from models.storage.sqlite.schema import milliseconds, moment

FIND = "SELECT key, n, last FROM failures WHERE key IN (%s) AND expires_at > ?"
# Counting from zero where the counter is overdue.
COUNT = """
INSERT INTO failures (key, n, last, expires_at) VALUES (:key, 1, :now, :expires_at)
ON CONFLICT (key) DO UPDATE SET
    n = iif(expires_at > :now, n, 0) + 1,
    last = iif(expires_at > :now, max(last, :now), :now),
    expires_at = max(expires_at, :expires_at)
"""
PURGE = "DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires_at <= ? LIMIT ?)"

_SWEEP = 20  # overdue counters that go with each count, so that none is left for long where nobody purges

_FIND = Query(FIND)


class SqliteFailures:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, keys: Collection[str], *, now: datetime) -> Mapping[str, Failures]:
        rows = _FIND.rows(self._database, storable(keys), milliseconds(now))
        return {key: Failures(count, moment(last)) for key, count, last in rows}

    def count(self, keys: Collection[str], *, now: datetime, expires_at: datetime) -> None:
        if not keys:
            return
        time, end = milliseconds(now), milliseconds(expires_at)
        with self._database.writing() as connection:
            connection.executemany(COUNT, [{"key": key, "now": time, "expires_at": end} for key in dict.fromkeys(keys)])
            connection.execute(PURGE, (time, _SWEEP))
