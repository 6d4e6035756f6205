"""Expiring records, the key's id and the highest cost in MongoDB.

Each write is one document's, and so needs no transaction.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from models.errors import RecordExistsError
from models.records import Record
from models.storage.keyset import is_storable
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import (
    COST,
    FAILURES,
    KEY,
    META,
    RECORDS,
    record_document,
    record_from,
    record_key,
    to_millisecond,
)
from models.storage.mongo.duplicates import duplicate_raises

_PURGE_STEP = 1000  # records or counters in one command


class MongoRecords:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def put(self, record: Record, *, now: datetime) -> None:
        document = record_document(record)
        overdue = {"_id": document["_id"], "expires_at": {"$lte": to_millisecond(now)}}
        with self._connection.call() as database, duplicate_raises(RecordExistsError):
            # Takes the place of an overdue record or of none; one that is in force makes this a duplicate.
            database[RECORDS].replace_one(overdue, document, upsert=True)

    def find(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        if not (is_storable(kind) and is_storable(record_id)):
            return None
        with self._connection.call() as database:
            document = database[RECORDS].find_one(
                {"_id": record_key(kind, record_id), "expires_at": {"$gt": to_millisecond(now)}}
            )
        return None if document is None else record_from(document)

    def delete(self, kind: str, record_id: str) -> bool:
        if not (is_storable(kind) and is_storable(record_id)):
            return False
        with self._connection.call() as database:
            return database[RECORDS].delete_one({"_id": record_key(kind, record_id)}).deleted_count == 1

    def delete_of(self, user_id: str, kind: str | None) -> int:
        if not (is_storable(user_id) and is_storable(kind or "")):
            return 0
        wanted = {"user_id": user_id} if kind is None else {"user_id": user_id, "_id.kind": kind}
        with self._connection.call() as database:
            return database[RECORDS].delete_many(wanted).deleted_count

    def purge(self, *, now: datetime) -> int:
        return sum(self._purge(collection, now=now) for collection in (RECORDS, FAILURES))

    def _purge(self, collection: str, *, now: datetime) -> int:
        overdue = {"$lte": to_millisecond(now)}
        total = 0
        while True:
            with self._connection.call() as database:
                found = [
                    document["_id"]
                    for document in database[collection].find({"expires_at": overdue}, {"_id": 1}).limit(_PURGE_STEP)
                ]
                # The time is asked for again: a record may have taken an overdue one's place since.
                purged = database[collection].delete_many({"_id": {"$in": found}, "expires_at": overdue})
            total += purged.deleted_count
            if len(found) < _PURGE_STEP:
                return total

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
