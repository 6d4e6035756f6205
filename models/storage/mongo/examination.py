"""The examination of a MongoDB database: see ``models.storage.Examination``."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from models.errors import SetupError
from models.findings import Finding, Tally
from models.storage.mongo import schema as mongo_schema
from models.storage.mongo.collections import collections_found
from models.storage.mongo.connection import Document, MongoConnection, make_client
from models.storage.mongo.documents import (
    ADMINS,
    GUARD,
    KEY,
    META,
    RECORDS,
    USERS,
    found_from,
    is_whole,
    record_from,
)
from models.storage.mongo.pointers import pointers_found
from models.storage.mongo.servers import server_found
from models.user import User

LIMIT = 3600.0  # seconds for one pass over a collection
_BATCH = 2000  # documents in one answer


class MongoExamination:
    """What is read is of several moments. Where a change could feign a finding, it is looked at a second time."""

    def __init__(self, url: str, database_name: str) -> None:
        # A pass over millions takes longer than a call of a request may.
        self._connection = MongoConnection(make_client(url), database_name)
        self.is_readable = False
        self.hash_kinds = Counter[str]()

    def close(self) -> None:
        self._connection.close()

    def structure(self) -> Iterator[Finding]:
        try:
            mongo_schema.refuse_unfit_server(self._connection)
        except SetupError as error:
            yield Finding(code="unfit_server", severity="problem", message=f"{error}")
            return
        with self._connection.call() as database:
            yield from server_found(database, now=lambda: datetime.now(UTC))
        with self._connection.call(limit=LIMIT) as database:
            found = list(collections_found(database))
        yield from found
        self.is_readable = not any(one.code == "foreign_collection" for one in found)

    def ping(self) -> None:
        with self._connection.call() as database:
            database[META].find_one({"_id": KEY})

    def key_id(self) -> str | None:
        with self._connection.call() as database:
            recorded = database[META].find_one({"_id": KEY})
        return None if recorded is None else str(recorded.get("key_id"))

    def has_admin(self) -> bool:
        with self._connection.call(limit=LIMIT) as database:
            return database[USERS].find_one(mongo_schema.GUARDING, {"_id": 1}) is not None

    def contents(self, kind_of: Callable[[str], str]) -> Iterator[Finding]:
        yield from self._users(kind_of)
        yield from self._guard()
        with self._connection.call(limit=LIMIT) as database:
            yield from pointers_found(database)
        yield from self._records()

    def _users(self, kind_of: Callable[[str], str]) -> Iterator[Finding]:
        foreign = Tally(
            "foreign_users", "problem", "Users are not as Doorman writes users, and cannot be used.", _CORRECT
        )
        for document in self._all(USERS):
            user = found_from(document)
            if not isinstance(user, User):
                foreign.add(user.record_id)
            elif user.password_hash is not None:
                self.hash_kinds[kind_of(user.password_hash)] += 1
        yield from foreign.found()

    def _guard(self) -> Iterator[Finding]:
        for _ in range(_LOOKS):
            with self._connection.call(limit=LIMIT) as database:
                guard = database[GUARD].find_one({"_id": ADMINS})
                admins = database[USERS].count_documents(mongo_schema.GUARDING)
            recorded = None if guard is None else guard.get("n")
            if is_whole(recorded) and recorded == admins:
                return
            if guard is None and admins == 0:
                return  # nobody has prepared this database
        yield Finding(
            code="wrong_guard",
            severity="warning",
            message=f"The guard counts {recorded} admins, and there are {admins}: the last one could be removed, or "
            "another could not.",
            remedy="The next start corrects it. Find out which program adds or removes admins beside Doorman.",
        )

    def _records(self) -> Iterator[Finding]:
        foreign = Tally(
            "foreign_records", "warning", "Records are not as Doorman writes them, and count for none.", _CORRECT
        )
        for document in self._all(RECORDS):
            if not _is_record(document):
                foreign.add(document["_id"])
        yield from foreign.found()

    def _all(self, collection: str) -> Iterator[Document]:
        with self._connection.call(limit=LIMIT) as database:
            yield from database[collection].find(batch_size=_BATCH)


_LOOKS = 3  # since an admin may come or go between the two readings
_CORRECT = "Another program writes here: correct or delete what it wrote, or restore a backup."


def _is_record(document: Document) -> bool:
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        record_from(document)
        return True
    return False
