"""Opening stores in tests, and the users that are put into them."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import mongomock

from models.errors import CorruptRecordError
from models.storage import Found, Store
from models.storage.mongo import schema as mongo_schema
from models.storage.mongo.store import MongoStore
from models.storage.sqlite.store import SqliteStore
from models.user import OAuth, User, new_user_id

K = TypeVar("K")
T = TypeVar("T")

# So late that MongoDB's own purging, which goes by the true time, leaves alone what these tests put in.
NOW = datetime(2100, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)


@dataclass(frozen=True)
class Address:
    """Where a store is, in a form that can be sent to another process."""

    kind: str
    place: str
    database: str = ""


def open_store(address: Address) -> Store:
    if address.kind == "sqlite":
        return SqliteStore(Path(address.place))
    return MongoStore.connect(address.place, address.database)


class _MockedMongoStore(MongoStore):
    def prepare(self) -> None:
        # mongomock does not know the command that tells a standalone from a replica set.
        mongo_schema.create(self._connection)


_mocked: Any = import_module("mongomock.collection")
_add_update = _mocked.BulkOperationBuilder.add_update


def _add_update_unsorted(builder: Any, *operands: Any, **options: Any) -> None:
    # mongomock 4.3 does not know the option that PyMongo sends along since 4.11.
    options.pop("sort", None)
    _add_update(builder, *operands, **options)


_mocked.BulkOperationBuilder.add_update = _add_update_unsorted


def mocked_mongo_store() -> MongoStore:
    def transact(client: Any, work: Callable[[Any], T]) -> T:
        return work(None)

    client: Any = mongomock.MongoClient(tz_aware=True)
    database = client["doorman"]

    def command(asked: dict[str, Any], **_options: Any) -> dict[str, Any]:
        # mongomock knows no commands, but can do what this one does.
        return {"cursor": {"id": 0, "firstBatch": list(database[asked["find"]].find(asked["filter"]))}}

    database.command = command
    return _MockedMongoStore(client, "doorman", transact=transact)


def find(store: Store, name_key: str, oauth: OAuth = 0) -> User | None:
    """Look one user up by its mapped name. Raises ``CorruptRecordError``."""
    return _one(store.find_users([(name_key, oauth)]), (name_key, oauth))


def find_by_id(store: Store, user_id: str) -> User | None:
    return _one(store.find_users_by_id([user_id]), user_id)


def find_by_token(store: Store, digest: str) -> User | None:
    return _one(store.find_users_by_token([digest]), digest)


def _one(users: Mapping[K, Found], key: K) -> User | None:
    assert set(users) <= {key}
    found = users.get(key)
    if isinstance(found, CorruptRecordError):
        raise found
    return found


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Look at a SQLite database past the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def make_user(user_name: str, **changes: Any) -> User:
    """Make an ordinary user with a password and a token of its own, and no e-mail address."""
    values: dict[str, Any] = {
        "id": new_user_id(NOW),
        "user_name": user_name,
        "name_key": user_name.lower(),
        "oauth": 0,
        "password_hash": "$2b$12$password",
        "token_hash": "$2b$12$token",
        "token_digests": (digest_of(f"{user_name} {changes.get('oauth', 0)}"),),
        "name": None,
        "email": None,
        "email_key": None,
        "user_group": "noob",
        "disabled": False,
        "epoch": 0,
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return User(**(values | changes))


def make_admin(user_name: str, **changes: Any) -> User:
    return make_user(user_name, user_group="admin", **changes)


def with_email(user: User, email: str | None) -> User:
    return user.changed(NOW, email=email, email_key=None if email is None else email.lower())
