"""Where an application under test keeps its data: the environment that names an empty database of each kind."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from models.storage.mongo.connection import CALL_LIMIT
from models.storage.mongo.orphans import orphaned_sessions
from models.storage.mongo.store import MongoStore
from tests.mongod import Mongod, RunningMongod

ADMIN = ("root", "correct-horse-battery")
ADMIN_TOKEN = "first-admin-token-0123456789"
SECRET_KEY = "a secret key of this test run, and no other"
_OF_TRIES = ("failures", "audit")  # how names of tables and collections begin
_TOO_MANY = 10_000  # documents, to remove them one by one

Environment = dict[str, str]


@pytest.fixture
def sqlite_environment(tmp_path: Path) -> Environment:
    return _environment() | {"DATABASE_URL": f"sqlite:///{tmp_path}/doorman.db"}


class EmptyDatabases:
    """Names of databases that hold nothing. One that was used serves again, if its collections are as Doorman makes.

    To make their indexes, and to drop them, takes the server longer than most tests do.
    """

    def __init__(self, uri: str) -> None:
        self._client = MongoClient[dict[str, Any]](uri, uuidRepresentation="standard")
        self._emptied: list[str] = []
        self._as_made: dict[str, object] | None = None

    def take(self, *, new: bool = False) -> str:
        if self._emptied and not new:
            return self._emptied.pop()
        return f"doorman_test_{os.getpid()}_{secrets.token_hex(4)}"

    def give_back(self, name: str) -> None:
        documents = self._client[name].command("dbStats")["objects"]
        if documents < _TOO_MANY and self._structure(name) == self._structure_as_made():
            for collection in self._client[name].list_collection_names():
                self._unhindered(partial(self._client[name][collection].delete_many, {}))
            self._emptied.append(name)
        else:
            self._unhindered(partial(self._client.drop_database, name))

    def close(self) -> None:
        for name in self._emptied:
            self._client.drop_database(name)
        self._client.close()

    def _unhindered(self, work: Callable[[], object]) -> None:
        """Do this. A server that was killed may have left a transaction open, which would hold it up for a minute."""
        while True:
            try:
                with pymongo.timeout(CALL_LIMIT):
                    work()
                    return
            except PyMongoError as error:
                if not error.timeout:
                    raise
            if orphaned := orphaned_sessions(self._client, oldest=CALL_LIMIT):
                self._client.admin.command("killSessions", [*orphaned])

    def _structure(self, name: str) -> dict[str, object]:
        database = self._client[name]
        return {
            one["name"]: one["type"] == "collection" and (one["options"], database[one["name"]].index_information())
            for one in database.list_collections()
        }

    def _structure_as_made(self) -> dict[str, object]:
        if self._as_made is None:
            name = self.take(new=True)
            MongoStore(self._client, name).prepare()
            self._as_made = self._structure(name)
            self._client.drop_database(name)
        return self._as_made


@pytest.fixture(scope="session")
def empty_databases(mongod: Mongod | RunningMongod) -> Iterator[EmptyDatabases]:
    with closing(EmptyDatabases(mongod.uri)) as databases:
        yield databases


@pytest.fixture
def mongod_database(request: pytest.FixtureRequest, empty_databases: EmptyDatabases) -> Iterator[str]:
    """Name a database that holds nothing; ``new_database`` marks tests of what makes its collections."""
    name = empty_databases.take(new="new_database" in request.keywords)
    yield name
    empty_databases.give_back(name)


@pytest.fixture
def mongod_environment(mongod: Mongod | RunningMongod, mongod_database: str) -> Environment:
    return _environment() | {"DATABASE_URL": mongod.uri, "DATABASE_NAME": mongod_database}


@pytest.fixture(params=["sqlite", "mongod"])
def environment(request: pytest.FixtureRequest) -> Environment:
    """Settings over an empty database, of each kind in turn, whose first admin is ``ADMIN``."""
    found: Environment = request.getfixturevalue(f"{request.param}_environment")
    return found


def _environment() -> Environment:
    return {
        "BASIC_AUTH_USER": ADMIN[0],
        "BASIC_AUTH_PASSWORD": ADMIN[1],
        "AUTH_TOKEN": ADMIN_TOKEN,
        "SECRET_KEY": SECRET_KEY,
        "BCRYPT_ROUNDS": "4",
    }


def rows(environment: Environment) -> list[dict[str, object]]:
    """Return all that the database holds, row by row, but for what tells of tries: the counters and the audit trail."""
    found: list[dict[str, object]] = []
    url = environment["DATABASE_URL"]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                if not table.startswith(_OF_TRIES):
                    found += [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
        return found
    with MongoClient[dict[str, object]](url) as client:
        database = client[environment["DATABASE_NAME"]]
        for name in database.list_collection_names():
            found += [] if name.startswith(_OF_TRIES) else database[name].find()
    return found


def dump(environment: Environment, directory: Path) -> bytes:
    """Return all that the database holds: SQLite's files byte by byte, MongoDB's documents as text."""
    if environment["DATABASE_URL"].startswith("sqlite"):
        return b"".join(path.read_bytes() for path in directory.glob("doorman.db*"))
    with MongoClient[dict[str, object]](environment["DATABASE_URL"]) as client:
        database = client[environment["DATABASE_NAME"]]
        return "\n".join(
            repr(document) for name in database.list_collection_names() for document in database[name].find()
        ).encode()
