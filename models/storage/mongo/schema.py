"""The collections and indexes that Doorman needs in MongoDB, and the refusal of servers that cannot serve it."""

import logging
from collections.abc import Mapping
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from models.errors import SetupError, UnavailableError
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import (
    ADMINS,
    AUDIT,
    COUNTERS,
    EMAILS,
    GUARD,
    META,
    OF_USER,
    RECORDS,
    SOUGHT,
    TOKENS,
    USERS,
    Document,
    is_whole,
)

logger = logging.getLogger(__name__)

LISTED = "listed"
LISTED_BY_GROUP = "listed_by_group"
GUARDING: Document = {"user_group": "admin", "oauth": 0, "disabled": False, "password_hash": {"$ne": None}}

INDEXES: dict[str, list[IndexModel]] = {
    # The one unique index is the shard key, which a sharded collection requires.
    USERS: [
        IndexModel([("name_key", ASCENDING), ("oauth", ASCENDING)], name="name", unique=True),
        IndexModel([("oauth", ASCENDING), ("name_key", ASCENDING), ("user_name", ASCENDING)], name=LISTED),
        IndexModel(
            [("oauth", ASCENDING), ("user_group", ASCENDING), ("name_key", ASCENDING), ("user_name", ASCENDING)],
            name=LISTED_BY_GROUP,
        ),
    ],
    RECORDS: [
        IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
        IndexModel([("user_id", ASCENDING), ("_id.kind", ASCENDING)], name=OF_USER),
    ],
    COUNTERS: [IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0)],
    AUDIT: [IndexModel([("terms", ASCENDING), ("_id", ASCENDING)], name=SOUGHT)],
    EMAILS: [],
    TOKENS: [],
    GUARD: [],
    META: [],
}
_NOT_INITIATED = (
    "this mongod was started with --replSet, but its replica set was not initiated. Run once: mongosh --eval"
    " 'rs.initiate()'"
)
_INDEXING_LIMIT = 600.0  # seconds: an upgrade may add an index to millions of users
_NAMESPACE_EXISTS = 48
_REFUSED_CODES = (
    13,  # Unauthorized
    18,  # AuthenticationFailed
    8000,  # AtlasError, which is how Atlas says either
)
_CONFLICT_CODES = (
    67,  # CannotCreateIndex
    85,  # IndexOptionsConflict
    86,  # IndexKeySpecsConflict
    11000,  # DuplicateKey
)


def refuse_unfit_server(connection: MongoConnection) -> None:
    """Raise ``SetupError`` for a server that does not let Doorman in, or that has no transactions.

    The latter is one that is neither in a replica set nor a mongos.
    """
    try:
        with connection.call() as database:
            hello = database.client.admin.command("hello")
            if hello.get("isreplicaset"):
                raise SetupError(_NOT_INITIATED)
            database[GUARD].find_one({"_id": ADMINS})
    except UnavailableError as error:
        if isinstance(error.__cause__, OperationFailure) and error.__cause__.code in _REFUSED_CODES:
            raise SetupError(
                f"MongoDB refuses the user of DATABASE_URL for the database {connection.database_name}: see that its"
                " name and password are right, and that it has the role readWrite there."
            ) from error
        if connection.has_uninitiated_server():
            raise SetupError(_NOT_INITIATED) from error
        raise
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise SetupError(
            "this mongod stands alone, and Doorman needs transactions. Make it a replica set of one: start it with"
            " --replSet rs0, and run once: mongosh --eval 'rs.initiate()'"
        )


def refuse_unfit_collections(connection: MongoConnection) -> None:
    """Raise ``SetupError`` for one that compares in its own way, forgets by itself, or does not keep documents."""
    with connection.call() as database:
        for found in database.list_collections(filter={"name": {"$in": list(INDEXES)}}):
            if oddities := oddities_of(found.get("options", {})):
                raise SetupError(
                    f"the collection {database.name}.{found['name']} was made with {', '.join(oddities)}, and cannot"
                    " serve like that: rename or drop it, or use another database."
                )


def oddities_of(options: Mapping[str, Any]) -> list[str]:
    """Return with which options a collection was made that make it unfit."""
    return [name for name in ("collation", "capped", "timeseries", "viewOn") if options.get(name)]


def create(connection: MongoConnection) -> None:
    """Create what is missing, and count the admins; idempotent, and safe when many processes do it at once."""
    with connection.call(limit=_INDEXING_LIMIT) as database:
        # Transactions that make a collection get in each other's way, so all are made here.
        existing = database.list_collection_names()
        for name, indexes in INDEXES.items():
            if name not in existing:
                _create_collection(database, name)
            if indexes:
                _create_indexes(database, name, indexes)
    _count_admins(connection)


def _create_collection(database: Database[Document], name: str) -> None:
    try:
        database.create_collection(name)
    except (CollectionInvalid, OperationFailure) as error:
        # The driver or the server may be the one to notice that another process was first.
        if isinstance(error, OperationFailure) and error.code != _NAMESPACE_EXISTS:
            raise


def _create_indexes(database: Database[Document], name: str, indexes: list[IndexModel]) -> None:
    try:
        database[name].create_indexes(indexes)
    except OperationFailure as error:
        if error.code not in _CONFLICT_CODES:
            raise
        raise SetupError(
            f"the indexes of the collection {database.name}.{name} cannot be made: {error}. Remove the index or the"
            " documents that this names (`doorman doctor` lists all of them), or use another database."
        ) from error


def _count_admins(connection: MongoConnection) -> None:
    """Count the guarding admins into the guard document, and correct it if other programs have changed any.

    Whoever adds or removes one meanwhile writes the guard as well (``changes``), so that the server lets only one
    of the two commit, and has the other look again.
    """

    def count(database: Database[Document], session: ClientSession | None) -> Document | None:
        guard: Document | None = database[GUARD].find_one({"_id": ADMINS}, session=session)
        admins = len(list(database[USERS].find(GUARDING, {"_id": 1}, session=session)))
        if guard is not None and is_whole(guard.get("n")) and guard["n"] == admins:
            return None
        database[GUARD].update_one({"_id": ADMINS}, {"$set": {"n": admins}}, upsert=True, session=session)
        return guard and {"recorded": guard.get("n"), "counted": admins}

    if corrected := connection.transaction(count):
        logger.warning("The count of admins was wrong, and has been corrected: %s", corrected)
