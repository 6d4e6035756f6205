"""The key's id, the highest cost and the foreign kinds of hashes in MongoDB."""

from collections.abc import Collection
from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import COST, FOREIGN, KEY, META, Document


class MongoMeta:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def adopt_key_id(self, key_id: str, *, known: Collection[str]) -> bool:
        acceptable = {"_id": KEY, "key_id": {"$in": [key_id, *known]}}
        adopted = {"$set": {"key_id": key_id}}
        with self._connection.call() as database:
            try:
                database[META].update_one(acceptable, adopted, upsert=True)
            except DuplicateKeyError:
                # One is recorded; if it came to be only now, it may still be an acceptable one.
                return database[META].update_one(acceptable, adopted).matched_count == 1
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
