"""The key's id, the highest cost and the foreign kinds of hashes in MongoDB."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from models.events import Event
from models.storage.mongo.audit import add_events
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import COST, FOREIGN, KEY, META, Document


class MongoMeta:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def adopt_key_id(self, key_id: str, *, known: Collection[str], events: Sequence[Event]) -> bool:
        def change(database: Database[Document], session: ClientSession | None) -> bool:
            former = {"_id": KEY, "key_id": {"$in": list(known), "$ne": key_id}}
            is_changed = database[META].update_one(former, adopted, session=session).matched_count == 1
            add_events(database, session, events if is_changed else ())
            return is_changed

        adopted = {"$set": {"key_id": key_id}}
        if known:
            is_changed = self._connection.transaction(change)
            if is_changed:
                return True
        with self._connection.call() as database:
            try:
                database[META].update_one({"_id": KEY, "key_id": key_id}, adopted, upsert=True)
            except DuplicateKeyError:
                # One is recorded; if it came to be only now, it may still be this one.
                return database[META].find_one({"_id": KEY, "key_id": key_id}) is not None
            return True

    def raise_highest_cost(self, cost: int) -> int:
        with self._connection.call() as database:
            while True:
                recorded = database[META].find_one({"_id": COST})
                highest: int = 0 if recorded is None else recorded["cost"]
                if highest >= cost:
                    return highest
                # Of two that record the first one, one may be told that it is there: it looks again.
                with suppress(DuplicateKeyError):
                    database[META].update_one({"_id": COST}, {"$max": {"cost": cost}}, upsert=True)

    def note_foreign_hashes(self, recipes: Collection[str]) -> Collection[str]:
        with self._connection.call() as database:
            recorded = _recipes(database[META].find_one({"_id": FOREIGN}))
            while new := set(recipes) - recorded:
                # Of two that record the first one, one may be told that it is there: it does so again.
                with suppress(DuplicateKeyError):
                    added = {"$addToSet": {"recipes": {"$each": sorted(new)}}}
                    database[META].update_one({"_id": FOREIGN}, added, upsert=True)
                    recorded |= new
            return recorded


def _recipes(recorded: Document | None) -> set[str]:
    return set() if recorded is None else {recipe for recipe in recorded["recipes"] if isinstance(recipe, str)}
