"""Where an application under test keeps its data: the environment that names an empty database of each kind."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.mongod import Mongod, RunningMongod

ADMIN = ("root", "correct-horse-battery")
ADMIN_TOKEN = "first-admin-token-0123456789"
SECRET_KEY = "a secret key of this test run, and no other"

Environment = dict[str, str]


@pytest.fixture
def sqlite_environment(tmp_path: Path) -> Environment:
    return _environment() | {"DATABASE_URL": f"sqlite:///{tmp_path}/doorman.db"}


@pytest.fixture
def mongod_environment(mongod: Mongod | RunningMongod) -> Iterator[Environment]:
    name = f"doorman_test_{os.getpid()}_{secrets.token_hex(4)}"
    yield _environment() | {"DATABASE_URL": mongod.uri, "DATABASE_NAME": name}
    with MongoClient[dict[str, object]](mongod.uri) as client:
        client.drop_database(name)


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


def dump(environment: Environment, directory: Path) -> bytes:
    """Return all that the database holds: SQLite's files byte by byte, MongoDB's documents as text."""
    if environment["DATABASE_URL"].startswith("sqlite"):
        return b"".join(path.read_bytes() for path in directory.glob("doorman.db*"))
    with MongoClient[dict[str, object]](environment["DATABASE_URL"]) as client:
        database = client[environment["DATABASE_NAME"]]
        return "\n".join(
            repr(document) for name in database.list_collection_names() for document in database[name].find()
        ).encode()
