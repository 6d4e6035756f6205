"""A database that goes away: calls fail in time, and the same store serves again when it is back."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, WaitQueueTimeoutError

from models.errors import UnavailableError
from models.storage import Store, mongo_schema
from models.storage.mongo import MongoStore
from models.storage.mongo_connection import MongoConnection, make_client
from models.storage.outage import Outage
from tests.mongod import Mongod
from tests.storage.races import THREADS, counted, outcome, race
from tests.storage.stores import NOW, make_user, with_email

LIMIT = 5.0  # seconds within which a call must fail


@pytest.fixture
def server(own_mongod: Callable[..., Mongod]) -> Mongod:
    return own_mongod()


@pytest.fixture
def served(server: Mongod) -> Iterator[Store]:
    with closing(MongoStore.connect(server.uri, "doorman")) as store:
        store.prepare()
        yield store


def fails_in_time(call: Callable[[], object]) -> bool:
    started = time.monotonic()
    return outcome(call) is UnavailableError and time.monotonic() - started < LIMIT


def await_success(call: Callable[[], object], limit: float = 15.0) -> None:
    """Call again, as clients do, until it succeeds; the pause is what an outage asks for."""
    deadline = time.monotonic() + limit
    while (found := outcome(call)) is UnavailableError and time.monotonic() < deadline:
        threading.Event().wait(0.1)
    assert found is not UnavailableError


def test_a_stopped_server_is_unavailable_until_it_is_back(server: Mongod, served: Store) -> None:
    """Reads and writes fail within five seconds, all who ask at once too, and succeed after a restart."""
    ann = make_user("ann")
    served.insert([ann])
    server.kill()
    outcomes = race([lambda: fails_in_time(served.ping)] * THREADS)
    assert counted(outcomes) == {True: THREADS}
    assert fails_in_time(lambda: served.insert([make_user("bob")]))
    server.start()
    await_success(served.ping)
    assert served.find("ann") == ann, "what was acknowledged before the kill is there"
    served.insert([make_user("bob")])


def test_a_hanging_server_is_unavailable_until_it_goes_on(server: Mongod, served: Store) -> None:
    """A change that a server got and never answered fails in time, and holds up nobody afterwards."""
    ann = make_user("ann")
    served.insert([ann])
    server.pause()
    assert fails_in_time(lambda: served.replace(ann, with_email(ann, "ann@x.org")))
    assert fails_in_time(lambda: served.find("ann"))
    server.resume()
    await_success(served.ping)
    found = served.find("ann")
    assert found is not None
    renamed = found.changed(NOW, name="Ann")
    assert outcome(lambda: served.replace(found, renamed)) is None
    assert outcome(lambda: served.replace(renamed, with_email(renamed, "new@x.org"))) is None


def test_leaving_a_hanging_server_ends(server: Mongod) -> None:
    """Closing a store takes no longer than a call."""
    store = MongoStore.connect(server.uri, "doorman")
    store.prepare()
    server.pause()
    started = time.monotonic()
    store.close()
    assert time.monotonic() - started < LIMIT


def test_a_server_that_is_not_there_yet_is_unavailable(server: Mongod) -> None:
    """A start before the database fails in time, and can be tried again."""
    server.stop()
    with closing(MongoStore.connect(server.uri, "doorman")) as store:
        assert fails_in_time(store.prepare)
        server.start()
        await_success(store.prepare)


def test_an_outage_lets_one_call_try() -> None:
    """After the pause one call tries, the others fail at once, and its success opens the way for all."""
    outage = Outage(pause=0.0, patience=60.0)
    outage.refuse_or_try()
    outage.note(lost=True)
    outage.refuse_or_try()
    with pytest.raises(UnavailableError):
        outage.refuse_or_try()
    outage.note(lost=False)
    outage.refuse_or_try()
    outage.refuse_or_try()


def test_an_outage_refuses_during_the_pause() -> None:
    """Right after a failure nobody tries."""
    outage = Outage(pause=60.0, patience=0.0)
    outage.note(lost=True)
    with pytest.raises(UnavailableError):
        outage.refuse_or_try()


def test_a_full_pool_is_no_outage() -> None:
    """The call that found no free connection fails, and the next one is let through."""
    connection = MongoConnection(make_client("mongodb://127.0.0.1:1/"), "doorman")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="WaitQueueTimeout"), connection.call():
            raise WaitQueueTimeoutError("no free connection")
    connection.close()


def test_an_abandoned_transaction_is_remembered_until_it_is_ended() -> None:
    """When the server does not hear that a session is to end, it is told again at the next call."""
    client = MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=10, connect=False)
    connection = MongoConnection(client, "doorman")
    connection._abandoned.append({"id": "session"})
    with pytest.raises(UnavailableError, match="ServerSelectionTimeout"), connection.call():
        pass
    assert connection._abandoned == [{"id": "session"}]
    connection.close()


class Refusing:
    """A database on which neither collections nor indexes can be made now."""

    name = "doorman"

    def __getitem__(self, _name: str) -> "Refusing":
        return self

    def create_collection(self, _name: str) -> None:
        raise OperationFailure("not primary", 10107)

    def create_indexes(self, _indexes: object) -> None:
        raise OperationFailure("not primary", 10107)


def test_a_server_that_cannot_prepare_now_is_not_misconfigured() -> None:
    """A failure that passes, as during an election, is not reported as a wrong setup."""
    database: Any = Refusing()
    with pytest.raises(OperationFailure):
        mongo_schema._create_collection(database, "users")
    with pytest.raises(OperationFailure):
        mongo_schema._create_indexes(database, "users", [])
