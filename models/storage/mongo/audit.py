"""The audit trail in MongoDB: a document an event, with the terms that it is found by."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pymongo import DESCENDING, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from models.events import Event, Sought, first_id_at
from models.storage.audited import described, event_from, readable_events
from models.storage.batches import batches
from models.storage.keyset import is_storable
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import AUDIT, SOUGHT, Document
from models.storage.mongo.duplicates import is_duplicate

_BATCH = 500  # events in one command
_STEP = 1000


def add_events(database: Database[Document], session: ClientSession | None, events: Sequence[Event]) -> None:
    """Write events, as a part of the change whose events they are."""
    if events:
        database[AUDIT].insert_many([_document(event) for event in events], session=session)


class MongoAudit:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def add(self, events: Sequence[Event]) -> None:
        if events:
            self._connection.transaction(lambda database, session: add_events(database, session, events))

    def add_up(self, tallies: Sequence[Event]) -> None:
        # Updates of one document each, which the driver may send again: the server knows what it has done of them.
        for some in batches(tallies, _BATCH):
            updates = [UpdateOne({"_id": tally.id}, _addition(tally), upsert=True) for tally in some]
            with self._connection.call() as database:
                while updates:
                    try:
                        database[AUDIT].bulk_write(updates)
                    except BulkWriteError as failure:
                        if not is_duplicate(failure):
                            raise
                        # Another call was first to begin this one. What stands before it is done, and the rest is not.
                        updates = updates[failure.details["writeErrors"][0]["index"] :]
                    else:
                        break

    def find(self, sought: Sought, *, limit: int) -> list[Event]:
        if limit < 1:
            return []
        wanted: Document = {"_id": {"$gte": sought.low, "$lt": sought.below}}
        terms = [{"terms": {"$in": list(filter(is_storable, some))}} for some in sought.terms]
        if terms:
            wanted["$and"] = terms
        with self._connection.call() as database:
            found = database[AUDIT].find(wanted).sort("_id", DESCENDING).limit(limit)
            if terms:
                found = found.hint(SOUGHT)
            return list(_events(found))

    def purge(self, *, before: datetime) -> int:
        old = {"$lt": first_id_at(before)}
        total = 0
        while True:
            with self._connection.call() as database:
                found = [one["_id"] for one in database[AUDIT].find({"_id": old}, {"_id": 1}).limit(_STEP)]
                if found:
                    total += database[AUDIT].delete_many({"_id": {"$in": found}}).deleted_count
            if len(found) < _STEP:
                return total


def _document(event: Event) -> Document:
    # The time is there for whoever looks at the collection: the id says it as well.
    return {"_id": event.id, "at": event.at, **described(event), "terms": list(event.terms)}


def _addition(tally: Event) -> Document:
    document = _document(tally)
    details: dict[str, Any] = document.pop("details")
    lists = {f"details.{name}": {"$each": value} for name, value in details.items() if not isinstance(value, int)}
    counts = {f"details.{name}": value for name, value in details.items() if isinstance(value, int)}
    terms = {"terms": {"$each": document.pop("terms")}}
    del document["_id"]
    return {"$setOnInsert": document, "$inc": counts, "$addToSet": lists | terms}


def _events(found: Iterable[Document]) -> Iterable[Event]:
    return readable_events(found, lambda document: event_from(document["_id"], document))
