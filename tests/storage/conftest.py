"""The stores that the contract is tested on, each empty and prepared."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.storage import Store
from tests.mongod import Mongod, RunningMongod
from tests.storage.races import Processes
from tests.storage.stores import Address, mocked_mongo_store, open_store


@pytest.fixture
def sqlite_address(tmp_path: Path) -> Address:
    return Address("sqlite", str(tmp_path / "store" / "doorman.db"))


@pytest.fixture
def path(sqlite_address: Address) -> Path:
    """Return where the SQLite database is."""
    return Path(sqlite_address.place)


@pytest.fixture
def mongod_address(mongod: Mongod | RunningMongod, mongod_database: str) -> Address:
    return Address("mongod", mongod.uri, mongod_database)


@pytest.fixture(params=["sqlite", "mongod"])
def address(request: pytest.FixtureRequest) -> Address:
    """Where a store is that can be opened again, by other processes too; it is not prepared yet."""
    found: Address = request.getfixturevalue(f"{request.param}_address")
    return found


@pytest.fixture
def open_prepared() -> Iterator[Callable[[Address], Store]]:
    """Open and prepare stores that are closed after the test."""
    opened: list[Store] = []

    def prepared(address: Address) -> Store:
        store = open_store(address)
        opened.append(store)
        store.prepare()
        return store

    yield prepared
    for store in opened:
        store.close()


@pytest.fixture
def durable_store(address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    """Prepare a store that keeps all of the contract: SQLite, and MongoDB on a real mongod."""
    return open_prepared(address)


@pytest.fixture(params=["sqlite", "mongod", "mongomock"])
def store(request: pytest.FixtureRequest, open_prepared: Callable[[Address], Store]) -> Store:
    """Prepare any store; mongomock is one of them, so no transaction may be needed to keep what the test expects."""
    if request.param == "mongomock":
        mocked = mocked_mongo_store()
        mocked.prepare()
        return mocked
    return open_prepared(request.getfixturevalue(f"{request.param}_address"))


@pytest.fixture(scope="session")
def racing_processes() -> Iterator[Processes]:
    """Start the processes that race, once for all tests: starting them takes longer than the races."""
    processes = Processes()
    yield processes
    processes.close()
