"""Counters of failures in MongoDB. Each write is one document's, and so needs no transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from models.storage import Failures
from models.storage.batches import batches, storable
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import FAILURES, Document, to_millisecond
from models.storage.mongo.duplicates import is_duplicate
from models.storage.mongo.reads import find_all

_BATCH = 100  # keys in one command


class MongoFailures:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def find(self, keys: Collection[str], *, now: datetime) -> Mapping[str, Failures]:
        wanted = storable(keys)
        if not wanted:
            return {}
        # One that another call has just set to zero, to count from there, is no failure yet.
        in_force: Document = {"expires_at": {"$gt": to_millisecond(now)}, "n": {"$gt": 0}}
        with self._connection.call() as database:
            return {
                document["_id"]: Failures(document["n"], document["last"])
                for some in batches(wanted, _BATCH)
                for document in find_all(database, FAILURES, {"_id": {"$in": some}, **in_force})
            }

    def count(self, keys: Collection[str], *, now: datetime, expires_at: datetime) -> None:
        overdue, last, end = {"$lte": to_millisecond(now)}, to_millisecond(now), to_millisecond(expires_at)
        # Updates of one document each, all in one command, which the driver may send again: the server knows by its
        # number what it has done of it.
        updates = [
            update
            for key in dict.fromkeys(keys)
            for update in (
                UpdateOne({"_id": key, "expires_at": overdue}, {"$set": {"n": 0, "last": last, "expires_at": end}}),
                UpdateOne({"_id": key}, {"$inc": {"n": 1}, "$max": {"last": last, "expires_at": end}}, upsert=True),
            )
        ]
        with self._connection.call() as database:
            while updates:
                try:
                    database[FAILURES].bulk_write(updates)
                except BulkWriteError as failure:
                    if not is_duplicate(failure):
                        raise
                    # Another call was first to begin this counter. What stands before it is done, and the rest is not.
                    updates = updates[failure.details["writeErrors"][0]["index"] :]
                else:
                    return
