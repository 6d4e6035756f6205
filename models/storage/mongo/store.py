"""The store on MongoDB, a replica set or a sharded cluster: for any number of processes and machines."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Self, TypeVar

from pymongo import ASCENDING, DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from models.errors import EmailInUseError, RevisionMismatchError, TokenInUseError, UserExistsError
from models.events import Event
from models.storage import Found, UserKey
from models.storage.changes import require_first_admin, require_same_identity
from models.storage.keyset import key_range
from models.storage.mongo import schema as mongo_schema
from models.storage.mongo.audit import MongoAudit, add_events
from models.storage.mongo.changes import (
    add_pointers,
    count_admins,
    insert_uncounted,
    insert_users,
    release_stale_pointers,
    remove_pointers,
    require_admin,
)
from models.storage.mongo.connection import Client, MongoConnection, Transact, make_client
from models.storage.mongo.counters import MongoCounters
from models.storage.mongo.documents import (
    ADMINS,
    EMAILS,
    GUARD,
    RECORDS,
    TOKENS,
    USERS,
    Document,
    email_pointers,
    is_listed,
    likeness_filter,
    revision_filter,
    token_pointers,
    user_document,
    user_from,
)
from models.storage.mongo.duplicates import duplicate_raises
from models.storage.mongo.lookups import MongoLookups
from models.storage.mongo.meta import MongoMeta
from models.storage.mongo.records import MongoRecords
from models.user import ListedName, OAuth, User, UserGroup

T = TypeVar("T")


class MongoStore:
    """See ``models.storage.Store``.

    Nothing connects before the first call. ``transact`` runs a transaction; ``renew`` makes a forked child's client.
    """

    kind = "mongodb"
    schema_version: int | None = None

    def __init__(
        self,
        client: Client,
        database_name: str,
        *,
        transact: Transact | None = None,
        renew: Callable[[], Client] | None = None,
    ) -> None:
        self._connection = MongoConnection(client, database_name, transact=transact, renew=renew)
        self._lookups = MongoLookups(self._connection)
        self.records = MongoRecords(self._connection)
        self.counters = MongoCounters(self._connection)
        self.audit = MongoAudit(self._connection)
        self._meta = MongoMeta(self._connection)

    @classmethod
    def connect(cls, url: str, database_name: str) -> Self:
        """Build a store on the servers of ``url``. Raises ``SetupError`` when that cannot be understood."""
        return cls(make_client(url), database_name, renew=lambda: make_client(url))

    def prepare(self) -> None:
        mongo_schema.refuse_unfit_server(self._connection)
        mongo_schema.refuse_unfit_collections(self._connection)
        mongo_schema.create(self._connection)

    def ping(self) -> None:
        with self._connection.call() as database:
            database[GUARD].find_one({"_id": ADMINS})

    def close(self) -> None:
        self._connection.close()

    def insert(self, users: Sequence[User], events: Sequence[Event]) -> None:
        def insert(database: Database[Document], session: ClientSession | None) -> None:
            insert_users(database, session, users)
            add_events(database, session, events)

        if users:
            self._change(users, insert)

    def insert_first_admin(self, user: User, events: Sequence[Event]) -> bool:
        require_first_admin(user)

        def insert(database: Database[Document], session: ClientSession | None) -> bool:
            guard = database[GUARD].update_one({"_id": ADMINS, "n": 0}, {"$inc": {"n": 1}}, session=session)
            if guard.matched_count == 0:
                return False
            insert_uncounted(database, session, [user])
            add_events(database, session, events)
            return True

        return self._change([user], insert)

    def has_admin(self) -> bool:
        with self._connection.call() as database:
            return database[GUARD].find_one({"_id": ADMINS, "n": {"$gt": 0}}) is not None

    def find_users(self, keys: Collection[UserKey]) -> Mapping[UserKey, Found]:
        return self._lookups.by_name(keys)

    def find_users_by_id(self, ids: Collection[str]) -> Mapping[str, Found]:
        return self._lookups.by_id(ids)

    def find_users_by_token(self, digests: Collection[str]) -> Mapping[str, Found]:
        return self._lookups.by_token(digests)

    def replace(self, before: User, after: User, events: Sequence[Event]) -> None:
        require_same_identity(before, after)

        counted = after.is_guarding_admin - before.is_guarding_admin

        def replace(database: Database[Document], session: ClientSession | None) -> None:
            admins = count_admins(database, session, counted)
            with duplicate_raises(UserExistsError):
                document = database[USERS].find_one_and_update(revision_filter(before), _put(after), session=session)
            if document is None:
                raise RevisionMismatchError
            stored = user_from(document)
            difference = after.is_guarding_admin - stored.is_guarding_admin
            require_admin(database, session, admins, counted=counted, difference=difference)
            if stored.email_key != after.email_key:
                remove_pointers(database, session, EMAILS, email_pointers(stored))
                add_pointers(database, session, EMAILS, email_pointers(after), EmailInUseError)
            if stored.token_digests != after.token_digests:
                remove_pointers(database, session, TOKENS, token_pointers(stored))
                add_pointers(database, session, TOKENS, token_pointers(after), TokenInUseError)
            add_events(database, session, events)

        if counted == 0 and not events and _pointed_to(before) == _pointed_to(after):
            # One document is all that is written, provided that the stored one is what the caller takes it for.
            with self._connection.call() as database:
                if database[USERS].update_one(likeness_filter(before), _put(after)).matched_count:
                    return
        self._change([after], replace)

    def delete(self, user: User, events: Sequence[Event]) -> None:
        def delete(database: Database[Document], session: ClientSession | None) -> None:
            counted = -user.is_guarding_admin
            admins = count_admins(database, session, counted)
            document = database[USERS].find_one_and_delete(revision_filter(user), session=session)
            if document is None:
                raise RevisionMismatchError
            stored = user_from(document)
            require_admin(database, session, admins, counted=counted, difference=-stored.is_guarding_admin)
            remove_pointers(database, session, EMAILS, email_pointers(stored))
            remove_pointers(database, session, TOKENS, token_pointers(stored))
            database[RECORDS].delete_many({"user_id": stored.id}, session=session)
            add_events(database, session, events)

        self._connection.transaction(delete)

    def list_names(
        self,
        *,
        limit: int,
        oauth: OAuth = 0,
        after: str | None = None,
        before: str | None = None,
        prefix: str = "",
        user_group: UserGroup | None = None,
    ) -> list[ListedName]:
        keys = key_range(after=after, before=before, prefix=prefix)
        if keys is None or limit < 1:
            return []
        # Comparing with a text leaves out what is none, as other programs may have put in.
        wanted: Document = {"oauth": oauth, "name_key": {"$gte": keys.low}, "user_name": {"$gte": ""}}
        if keys.high is not None:
            wanted["name_key"]["$lt"] = keys.high
        if user_group is not None:
            wanted["user_group"] = user_group
        index = mongo_schema.LISTED if user_group is None else mongo_schema.LISTED_BY_GROUP
        direction = ASCENDING if before is None else DESCENDING
        more = 0
        while True:
            with self._connection.call() as database:
                rows = list(
                    database[USERS]
                    .find(wanted, {"_id": 0, "name_key": 1, "user_name": 1})
                    .hint(index)
                    .sort("name_key", direction)
                    .limit(limit + more)
                    .batch_size(limit + more)
                )
            names = [ListedName(row["name_key"], row["user_name"]) for row in rows if is_listed(row)]
            if len(names) >= limit or len(rows) < limit + more:
                return names[:limit] if before is None else names[limit - 1 :: -1]
            # Rows that are no names, which the query cannot tell by the index: more of them may follow.
            more += 2 * (len(rows) - len(names))

    def purge(self, *, now: datetime) -> int:
        return self.records.purge(now=now) + self.counters.purge(now=now)

    def adopt_key_id(self, key_id: str, *, known: Collection[str], events: Sequence[Event] = ()) -> bool:
        return self._meta.adopt_key_id(key_id, known=known, events=events)

    def raise_highest_cost(self, cost: int) -> int:
        return self._meta.raise_highest_cost(cost)

    def note_foreign_hashes(self, recipes: Collection[str]) -> Collection[str]:
        return self._meta.note_foreign_hashes(recipes)

    def _change(self, users: Sequence[User], work: Callable[[Database[Document], ClientSession | None], T]) -> T:
        """Run ``work`` in a transaction; again if only stale pointers say that what ``users`` are to have is taken."""
        try:
            return self._connection.transaction(work)
        except (EmailInUseError, TokenInUseError) as error:
            taken = error

        def work_again(database: Database[Document], session: ClientSession | None) -> T:
            # The server has ended the first transaction with the duplicate, so the pointers go in the second one.
            if not release_stale_pointers(database, session, users):
                raise taken
            return work(database, session)

        return self._connection.transaction(work_again)


def _put(user: User) -> Document:
    """Return the update that makes a document the user's, and leaves in it what a newer Doorman keeps there."""
    fields = user_document(user)
    del fields["_id"]
    return {"$set": fields}


def _pointed_to(user: User) -> tuple[object, ...]:
    """Return what of a user other documents, or the unique index, have to agree with."""
    return user.name_key, user.email_key, user.token_digests
