"""Looking users up in MongoDB, many at a time."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bson.objectid import ObjectId
from pymongo.database import Database

from models.storage import Found, UserKey
from models.storage.batches import batches, storable
from models.storage.keyset import is_storable
from models.storage.mongo.connection import MongoConnection
from models.storage.mongo.documents import TOKENS, USERS, Document, found_from, object_id
from models.storage.mongo.reads import find_all
from models.user import User

_BATCH = 100  # keys in one command


class MongoLookups:
    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    def by_name(self, keys: Collection[UserKey]) -> Mapping[UserKey, Found]:
        wanted = {key: None for key in keys if is_storable(key[0])}
        users: dict[UserKey, Found] = {}
        if not wanted:
            return users
        with self._connection.call() as database:
            for some in batches(list(wanted), _BATCH):
                for document in find_all(database, USERS, _named(some)):
                    found = found_from(document)
                    if not isinstance(found, User):
                        users.update((key, found) for key in some if key not in users and _has(document, key))
                    elif (key := (found.name_key, found.oauth)) in wanted:
                        users[key] = found
        return users

    def by_id(self, ids: Collection[str]) -> Mapping[str, Found]:
        wanted = [key for key in map(object_id, dict.fromkeys(ids)) if key is not None]
        if not wanted:
            return {}
        with self._connection.call() as database:
            return {str(key): found for key, found in _users(database, wanted).items()}

    def by_token(self, digests: Collection[str]) -> Mapping[str, Found]:
        wanted = storable(digests)
        if not wanted:
            return {}
        with self._connection.call() as database:
            # What another program has put in a pointer need not be an id.
            leads = {
                pointer["_id"]: user_id
                for some in batches(wanted, _BATCH)
                for pointer in find_all(database, TOKENS, {"_id": _among(some)})
                if isinstance(user_id := pointer.get("user_id"), ObjectId)
            }
            users = _users(database, list(set(leads.values())))
        return {digest: users[user_id] for digest, user_id in leads.items() if _may_have(users.get(user_id), digest)}


def _users(database: Database[Document], ids: Sequence[ObjectId]) -> dict[ObjectId, Found]:
    return {
        document["_id"]: found_from(document)
        for some in batches(ids, _BATCH)
        for document in find_all(database, USERS, {"_id": _among(some)})
    }


def _among(values: Sequence[Any]) -> Any:
    """Return what a field must be to be one of ``values``."""
    return values[0] if len(values) == 1 else {"$in": values}


def _named(keys: Sequence[UserKey]) -> Document:
    """Match the users of these keys, and others of the same names where both kinds are asked for."""
    names, kinds = zip(*keys, strict=True)
    return {"name_key": _among(list(dict.fromkeys(names))), "oauth": _among(list(set(kinds)))}


def _has(document: Document, key: UserKey) -> bool:
    """Tell whether the server finds the document by this key, either part of which may stand in an array as well."""
    stored = (document.get("name_key"), document.get("oauth"))
    return all(part in held if isinstance(held, list) else part == held for part, held in zip(key, stored, strict=True))


def _may_have(found: Found | None, digest: str) -> bool:
    return digest in found.token_digests if isinstance(found, User) else found is not None
