"""Removing what is overdue from MongoDB, where its own purging, which goes once a minute, has not done so yet."""

from datetime import datetime

from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import to_millisecond

_STEP = 1000  # documents in one command


def purge(connection: MongoConnection, collection: str, *, now: datetime) -> int:
    """Remove the overdue documents of a collection in bounded steps; return how many."""
    overdue = {"$lte": to_millisecond(now)}
    total = 0
    while True:
        with connection.call() as database:
            found = [
                document["_id"]
                for document in database[collection].find({"expires_at": overdue}, {"_id": 1}).limit(_STEP)
            ]
            # The time is asked for again: another document may have taken an overdue one's place since.
            purged = database[collection].delete_many({"_id": {"$in": found}, "expires_at": overdue})
        total += purged.deleted_count
        if len(found) < _STEP:
            return total
