"""Counters in MongoDB. Each write is one document's, and so needs no transaction."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from models.records import Counted
from models.storage.batches import batches, storable
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import COUNTERS, Document, to_millisecond
from models.storage.mongo.duplicates import is_duplicate
from models.storage.mongo.purge import purge
from models.storage.mongo.reads import find_all

_BATCH = 100  # keys in one command


class MongoCounters:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def find(self, keys: Collection[str], *, now: datetime) -> Mapping[str, Counted]:
        wanted = storable(keys)
        if not wanted:
            return {}
        # One that another call has just set to zero, to count from there, is no failure yet.
        in_force: Document = {"expires_at": {"$gt": to_millisecond(now)}, "n": {"$gt": 0}}
        with self._connection.call() as database:
            return {
                document["_id"]: Counted(document["n"], document["last"])
                for some in batches(wanted, _BATCH)
                for document in find_all(database, COUNTERS, {"_id": {"$in": some}, **in_force})
            }

    def add(self, keys: Collection[str], *, now: datetime, expires_at: datetime) -> None:
        # Updates of one document each, all in one command, which the driver may send again: the server knows by its
        # number what it has done of it.
        updates = [
            update
            for key in dict.fromkeys(keys)
            for update in (
                UpdateOne(_overdue(key, now), _from_zero(now, expires_at)),
                UpdateOne({"_id": key}, _one_more(now, expires_at), upsert=True),
            )
        ]
        with self._connection.call() as database:
            while updates:
                try:
                    database[COUNTERS].bulk_write(updates)
                except BulkWriteError as failure:
                    if not is_duplicate(failure):
                        raise
                    # Another call was first to begin this counter. What stands before it is done, and the rest is not.
                    updates = updates[failure.details["writeErrors"][0]["index"] :]
                else:
                    return

    def take(self, key: str, *, now: datetime, expires_at: datetime) -> int:
        with self._connection.call() as database:
            database[COUNTERS].update_one(_overdue(key, now), _from_zero(now, expires_at))
            while True:
                # Of two that begin a counter, one may be told that it is there: it looks again.
                with suppress(DuplicateKeyError):
                    counter: Any = database[COUNTERS].find_one_and_update(
                        {"_id": key}, _one_more(now, expires_at), upsert=True, return_document=ReturnDocument.AFTER
                    )
                    count: int = counter["n"]
                    return count

    def purge(self, *, now: datetime) -> int:
        return purge(self._connection, COUNTERS, now=now)


def _overdue(key: str, now: datetime) -> Document:
    return {"_id": key, "expires_at": {"$lte": to_millisecond(now)}}


def _from_zero(now: datetime, expires_at: datetime) -> Document:
    return {"$set": {"n": 0, "last": to_millisecond(now), "expires_at": to_millisecond(expires_at)}}


def _one_more(now: datetime, expires_at: datetime) -> Document:
    return {"$inc": {"n": 1}, "$max": {"last": to_millisecond(now), "expires_at": to_millisecond(expires_at)}}
