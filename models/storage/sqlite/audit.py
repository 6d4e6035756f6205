"""The audit trail in SQLite: the events, and what they are found by."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import chain, islice
from typing import Any

from models.events import Event, Sought, first_id_at
from models.storage.audited import added_up, described, event_from, readable_events
from models.storage.keyset import is_storable
from models.storage.sqlite.database import Database
from models.storage.sqlite.driver import Connection
from models.storage.sqlite.steps import STEP, in_steps

_SELECT = "SELECT audit.id, audit.data FROM audit"
_RANGE = "audit.id >= ? AND audit.id < ?"
FIND = f"{_SELECT} WHERE {_RANGE} ORDER BY id DESC LIMIT ?"
# CROSS: the terms come first, in the order of their ids.
FIND_BY_TERM = """
SELECT audit.id, audit.data FROM audit_terms CROSS JOIN audit ON audit.id = audit_terms.id
WHERE audit_terms.term = ? AND audit_terms.id >= ? AND audit_terms.id < ? %s ORDER BY audit_terms.id DESC LIMIT ?
"""
HAS_TERM = "AND EXISTS (SELECT 1 FROM audit_terms AS other WHERE other.term IN (%s) AND other.id = audit_terms.id)"
FIND_ONE = f"{_SELECT} WHERE id = ?"
ADD = "INSERT INTO audit (id, data) VALUES (?, ?)"
PUT = "INSERT OR REPLACE INTO audit (id, data) VALUES (?, ?)"
ADD_TERM = "INSERT OR IGNORE INTO audit_terms (term, id) VALUES (?, ?)"
FIND_OLD = f"{_SELECT} WHERE id < ? ORDER BY id LIMIT ?"
DELETE = "DELETE FROM audit WHERE id = ?"
DELETE_TERM = "DELETE FROM audit_terms WHERE term = ? AND id = ?"

_MOST_TALLIES = 100  # in one turn to write

Rows = Sequence[tuple[str, str, Sequence[str]]]


def event_rows(events: Iterable[Event]) -> Rows:
    """Return what is to be written of events: to be made before the turn to write, which others wait for."""
    return [(event.id, json.dumps(described(event)), event.terms) for event in events]


def add_events(connection: Connection, rows: Rows) -> None:
    """Write events, as a part of the change whose events they are."""
    for event_id, data, terms in rows:
        connection.execute(ADD, (event_id, data))
        connection.executemany(ADD_TERM, [(term, event_id) for term in terms])


class SqliteAudit:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Sequence[Event]) -> None:
        rows = event_rows(events)
        if rows:
            with self._database.writing() as connection:
                add_events(connection, rows)

    def add_up(self, tallies: Sequence[Event]) -> None:
        for start in range(0, len(tallies), _MOST_TALLIES):
            with self._database.writing() as connection:
                for tally in tallies[start : start + _MOST_TALLIES]:
                    found = next(_events(connection.execute(FIND_ONE, (tally.id,)).fetchall()), None)
                    event = tally if found is None else added_up(found, tally)
                    connection.execute(PUT, (event.id, json.dumps(described(event))))
                    connection.executemany(ADD_TERM, [(term, event.id) for term in event.terms])

    def find(self, sought: Sought, *, limit: int) -> list[Event]:
        if limit < 1:
            return []
        terms = [list(filter(is_storable, alternatives)) for alternatives in sought.terms]
        if not terms:
            return list(_events(self._database.rows(FIND, (sought.low, sought.below, limit))))
        first, *others = terms
        query = FIND_BY_TERM % " ".join(HAS_TERM % ", ".join("?" * len(some)) for some in others)
        values = (sought.low, sought.below, *chain.from_iterable(others), limit)
        pages = (self._database.rows(query, (one, *values)) for one in dict.fromkeys(first))
        newest_first = merge(*pages, key=_id_of, reverse=True)
        return list(islice(_events(_each_once(newest_first)), limit))

    def purge(self, *, before: datetime) -> int:
        bound = first_id_at(before)

        def delete(connection: Connection) -> int:
            rows = connection.execute(FIND_OLD, (bound, STEP)).fetchall()
            terms = [(term, event.id) for event in _events(rows) for term in event.terms]
            connection.executemany(DELETE_TERM, terms)
            connection.executemany(DELETE, [(event_id,) for event_id, _ in rows])
            return len(rows)

        # Most of the time there is nothing to do, for which nobody has to wait.
        return in_steps(self._database, delete) if self._database.rows(FIND_OLD, (bound, 1)) else 0


def _events(rows: Iterable[Sequence[Any]]) -> Iterator[Event]:
    return readable_events(rows, lambda row: event_from(row[0], json.loads(row[1])))


def _id_of(row: Sequence[str]) -> str:
    return row[0]


def _each_once(rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    """Leave out what more than one of the pages has, which stand beside each other."""
    last = None
    for row in rows:
        if row[0] != last:
            yield row
        last = row[0]
