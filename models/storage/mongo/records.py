"""Expiring records in MongoDB. Each write is a document's own, and needs a transaction only for its events."""

from collections.abc import Collection, Sequence
from datetime import datetime

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from models.errors import RecordExistsError
from models.events import Event
from models.records import CLOCKS_DIFFER, Record, Use
from models.storage.batches import batches
from models.storage.keyset import is_storable
from models.storage.mongo.audit import add_events
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import (
    OF_USER,
    RECORDS,
    Document,
    record_document,
    record_from,
    record_key,
    to_millisecond,
)
from models.storage.mongo.duplicates import duplicate_raises
from models.storage.mongo.purge import purge
from models.storage.telling import Telling, untold
from models.storage.unreadable import readable_records

_BATCH = 1000  # records in one command


class MongoRecords:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def put(self, record: Record, *, now: datetime, most: int | None = None, events: Sequence[Event] = ()) -> None:
        document = record_document(record)
        overdue = {"_id": document["_id"], "expires_at": {"$lte": to_millisecond(now)}}

        def put(database: Database[Document], session: ClientSession | None) -> None:
            with duplicate_raises(RecordExistsError):
                # Takes the place of an overdue record or of none; one that is in force makes this a duplicate.
                database[RECORDS].replace_one(overdue, document, upsert=True, session=session)
            add_events(database, session, events)

        if events:
            self._connection.transaction(put)
        with self._connection.call() as database:
            if not events:
                put(database, None)
            if most is not None:
                # Whoever puts one in looks after that, so the last of many to do so sees them all.
                _delete_oldest(database, record, most, now)

    def find(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        if not (is_storable(kind) and is_storable(record_id)):
            return None
        with self._connection.call() as database:
            found = database[RECORDS].find(
                {"_id": record_key(kind, record_id), "expires_at": {"$gt": to_millisecond(now)}}
            )
            return next(readable_records(found, record_from), None)

    def of_user(self, user_id: str, kinds: Collection[str], *, now: datetime) -> list[Record]:
        if not is_storable(user_id):
            return []
        wanted = {**_of_user(user_id, kinds), "expires_at": {"$gt": to_millisecond(now)}}
        with self._connection.call() as database:
            found = list(readable_records(database[RECORDS].find(wanted).hint(OF_USER), record_from))
        return sorted(found, key=lambda record: record.created_at, reverse=True)

    def note_uses(self, uses: Sequence[Use], *, now: datetime) -> None:
        updates = [
            UpdateOne(
                {
                    "_id": record_key(use.kind, use.id),
                    "expires_at": {"$gt": to_millisecond(now)},
                    "used_at": {"$lte": to_millisecond(use.unless_after)},
                },
                {"$max": {"used_at": to_millisecond(use.used_at), "expires_at": to_millisecond(use.expires_at)}},
            )
            for use in uses
        ]
        for some in batches(updates, _BATCH):
            with self._connection.call() as database:
                database[RECORDS].bulk_write(list(some), ordered=False)

    def delete(self, kind: str, record_id: str, *, events: Sequence[Event] = ()) -> bool:
        if not (is_storable(kind) and is_storable(record_id)):
            return False

        def delete(database: Database[Document], session: ClientSession | None) -> bool:
            key = {"_id": record_key(kind, record_id)}
            is_gone = database[RECORDS].delete_one(key, session=session).deleted_count == 1
            add_events(database, session, events if is_gone else ())
            return is_gone

        if events:
            return self._connection.transaction(delete)
        with self._connection.call() as database:
            return delete(database, None)

    def delete_of(
        self, user_id: str, kinds: Collection[str], *, but: str | None = None, told: Telling = untold
    ) -> list[Record]:
        if not is_storable(user_id):
            return []

        def delete(database: Database[Document], session: ClientSession | None) -> list[Record]:
            wanted = {**_of_user(user_id, kinds), "_id.id": {"$ne": but}}
            documents = list(database[RECORDS].find(wanted, session=session))
            ids = [document["_id"] for document in documents]
            database[RECORDS].delete_many({"_id": {"$in": ids}}, session=session)
            removed = list(readable_records(documents, record_from))
            add_events(database, session, told(removed))
            return removed

        return self._connection.transaction(delete)

    def purge(self, *, now: datetime) -> int:
        return purge(self._connection, RECORDS, now=now)


def _of_user(user_id: str | None, kinds: Collection[str]) -> Document:
    return {"user_id": user_id, "_id.kind": {"$in": list(filter(is_storable, kinds))}}


def _delete_oldest(database: Database[Document], record: Record, most: int, now: datetime) -> None:
    """Delete in one order for all, so that several who do so at once delete the same ones."""
    wanted = {**_of_user(record.user_id, [record.kind]), "expires_at": {"$gt": to_millisecond(now)}}
    ahead = {"$gt": ["$created_at", to_millisecond(now + CLOCKS_DIFFER)]}
    surplus_ones: list[Document] = [
        {"$match": wanted},
        {"$project": {"created_at": 1, "is_ahead": ahead}},
        {"$sort": {"is_ahead": ASCENDING, "created_at": DESCENDING, "_id": DESCENDING}},
        {"$skip": most},
        {"$project": {"_id": 1}},
    ]
    found = database[RECORDS].aggregate(surplus_ones, hint=OF_USER)
    if surplus := [document["_id"] for document in found]:
        database[RECORDS].delete_many({"_id": {"$in": surplus}})
