"""The key's id, the highest cost and the foreign kinds of hashes in SQLite."""

from collections.abc import Collection, Sequence

from models.events import Event
from models.storage.sqlite.audit import add_events, event_rows
from models.storage.sqlite.database import Database

HIGHEST_COST = "SELECT value FROM meta WHERE key = 'highest_cost'"
FOREIGN_HASHES = "SELECT substr(key, 9) FROM meta WHERE key >= 'foreign ' AND key < 'foreign!'"


class SqliteMeta:
    def __init__(self, database: Database) -> None:
        self._database = database

    def adopt_key_id(self, key_id: str, *, known: Collection[str], events: Sequence[Event]) -> bool:
        with self._database.writing() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
            if row is not None and row[0] != key_id and row[0] not in known:
                return False
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('key_id', ?)", (key_id,))
            if row is not None and row[0] != key_id:
                add_events(connection, event_rows(events))
            return True

    def raise_highest_cost(self, cost: int) -> int:
        if (highest := _highest_cost(self._database.rows(HIGHEST_COST))) >= cost:
            return highest
        with self._database.writing() as connection:
            highest = max(cost, _highest_cost(connection.execute(HIGHEST_COST).fetchall()))
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('highest_cost', ?)", (str(highest),))
            return highest

    def note_foreign_hashes(self, recipes: Collection[str]) -> Collection[str]:
        recorded = {recipe for [recipe] in self._database.rows(FOREIGN_HASHES)}
        if new := set(recipes) - recorded:
            with self._database.writing() as connection:
                rows = [(f"foreign {recipe}",) for recipe in new]
                connection.executemany("INSERT OR IGNORE INTO meta (key, value) VALUES (?, '')", rows)
        return recorded | new


def _highest_cost(rows: Sequence[Sequence[str]]) -> int:
    return int(rows[0][0]) if rows else 0
