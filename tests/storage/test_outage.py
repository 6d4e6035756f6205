"""A database that goes away: calls fail in time, and the same store serves again when it is back."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import (
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    WaitQueueTimeoutError,
)

from models.errors import UnavailableError
from models.records import Record, Use
from models.storage import Store
from models.storage.mongo import schema as mongo_schema
from models.storage.mongo.connection import MongoConnection, make_client
from models.storage.mongo.store import MongoStore
from models.storage.outage import Outage
from tests.mongod import Mongod
from tests.storage.races import THREADS, counted, outcome, race
from tests.storage.stores import NOW, Address, find, make_user, open_store, with_email

pytestmark = pytest.mark.new_database

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
    served.insert([ann], ())
    server.kill()
    outcomes = race([lambda: fails_in_time(served.ping)] * THREADS)
    assert counted(outcomes) == {True: THREADS}
    assert fails_in_time(lambda: served.insert([make_user("bob")], ()))
    server.start()
    await_success(served.ping)
    assert find(served, "ann") == ann, "what was acknowledged before the kill is there"
    served.insert([make_user("bob")], ())


def test_a_hanging_server_is_unavailable_until_it_goes_on(server: Mongod, served: Store) -> None:
    """A change that a server got and never answered fails in time, and holds up nobody afterwards."""
    ann = make_user("ann")
    served.insert([ann], ())
    server.pause()
    assert fails_in_time(lambda: served.replace(ann, with_email(ann, "ann@x.org"), ()))
    assert fails_in_time(lambda: find(served, "ann"))
    server.resume()
    await_success(served.ping)
    found = find(served, "ann")
    assert found is not None
    renamed = found.changed(NOW, name="Ann")
    assert outcome(lambda: served.replace(found, renamed, ())) is None
    assert outcome(lambda: served.replace(renamed, with_email(renamed, "new@x.org"), ())) is None


def test_a_transaction_whose_process_died_holds_nobody_up_for_long(mongod_address: Address) -> None:
    """What it changed can be changed after one call that waited in vain, and not only when the server ends it."""
    with closing(open_store(mongod_address)) as store, closing(make_client(mongod_address.place)) as dead:
        store.prepare()
        ann = make_user("ann")
        store.insert([ann], ())
        session = dead.start_session()
        session.start_transaction()
        dead[mongod_address.database]["users"].update_one(
            {"name_key": "ann"}, {"$inc": {"revision": 1}}, session=session
        )
        after = with_email(ann, "ann@x.org")
        assert fails_in_time(lambda: store.replace(ann, after, ()))
        assert outcome(lambda: store.replace(ann, after, ())) is None
        assert find(store, "ann") == after


LATER = NOW.replace(year=2101)
SESSION = Record(kind="session", id="s", user_id="u", created_at=NOW, used_at=NOW, expires_at=LATER)
USE = Use(kind="session", id="s", used_at=LATER, unless_after=NOW, expires_at=LATER)
CALLS: dict[str, Callable[[Store], object]] = {
    "users": lambda store: store.find_users([("ann", 0), ("bob", 1)]),
    "ids": lambda store: store.find_users_by_id([make_user("ann").id]),
    "tokens": lambda store: store.find_users_by_token(["t"]),
    "failures": lambda store: store.counters.find(["f"], now=NOW),
    "count": lambda store: store.counters.add(["f"], now=NOW, expires_at=LATER),
    "take": lambda store: store.counters.take("t", now=NOW, expires_at=LATER),
    "records": lambda store: store.records.of_user("u", ["session"], now=NOW),
    "put": lambda store: store.records.put(SESSION, now=NOW, most=1),
    "uses": lambda store: store.records.note_uses([USE], now=NOW),
    "cost": lambda store: store.raise_highest_cost(12),
    "purge": lambda store: store.purge(now=NOW),
}


def test_every_new_call_is_unavailable_in_time(server: Mongod, served: Store) -> None:
    """A server that hangs and then is gone makes each of them fail; what was counted after it is back is the sum."""
    CALLS["count"](served)
    server.pause()
    outcomes = race([partial(fails_in_time, partial(call, served)) for call in CALLS.values()])
    assert counted(outcomes) == {True: len(CALLS)}
    server.kill()
    for call in CALLS.values():
        assert fails_in_time(partial(call, served))
    server.start()
    await_success(lambda: CALLS["cost"](served))
    before = served.counters.find(["f"], now=NOW)["f"].count
    CALLS["count"](served)
    assert served.counters.find(["f"], now=NOW)["f"].count == before + 1


@pytest.mark.parametrize("name", CALLS)
def test_sqlite_without_its_file_is_unavailable(
    sqlite_address: Address, open_prepared: Callable[[Address], Store], name: str
) -> None:
    """No call answers as if nothing were there."""
    store = open_prepared(sqlite_address)
    Path(sqlite_address.place).unlink()
    with pytest.raises(UnavailableError, match="not there"):
        CALLS[name](store)


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


@pytest.fixture
def connection(mongod_address: Address) -> Iterator[MongoConnection]:
    with closing(MongoConnection(make_client(mongod_address.place), mongod_address.database)) as connection:
        yield connection


SLOW = [NetworkTimeout("slow"), WaitQueueTimeoutError("no free connection"), ExecutionTimeout("slow", 50)]


@pytest.mark.parametrize("error", SLOW, ids=repr)
def test_a_slow_command_is_no_outage(connection: MongoConnection, error: Exception) -> None:
    """When the server answers otherwise, one command that took too long makes no other call fail."""
    with pytest.raises(UnavailableError, match=type(error).__name__), connection.call():
        raise error
    with connection.call() as database:
        database.command("ping")


@pytest.mark.parametrize("error", SLOW, ids=repr)
def test_a_slow_command_of_a_lost_server_is_an_outage(error: Exception) -> None:
    """When the server does not answer otherwise either, the next call fails at once."""
    with closing(MongoConnection(make_client("mongodb://127.0.0.1:1/"), "doorman")) as connection:
        with pytest.raises(UnavailableError, match=type(error).__name__), connection.call():
            raise error
        with pytest.raises(UnavailableError, match="a moment ago"), connection.call():
            pass


def test_a_call_that_fails_otherwise_ends_the_try(connection: MongoConnection) -> None:
    """The one call that may try after an outage lets the others in, whatever is raised in it."""
    outage = connection._link().outage
    outage.note(lost=True)
    outage._retry_at = time.monotonic()
    with pytest.raises(RuntimeError), connection.call():
        raise RuntimeError
    with connection.call() as database:
        database.command("ping")


def test_an_error_quotes_no_document(connection: MongoConnection) -> None:
    """What the server says of a command, with the documents in it, is not in the message, which is logged."""
    failure = BulkWriteError({"writeErrors": [{"code": 121, "op": {"password_hash": "secret"}}]})
    assert "secret" in str(failure)
    with pytest.raises(UnavailableError, match=r"BulkWriteError 65$"), connection.call():
        raise failure


def test_an_abandoned_transaction_is_remembered_until_it_is_ended() -> None:
    """When the server does not hear that a session is to end, it is told again later, and the call goes on."""
    client = MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=10, connect=False)
    connection = MongoConnection(client, "doorman")
    connection._abandoned.append({"id": "session"})
    with connection.call():
        pass
    assert list(connection._abandoned) == [{"id": "session"}]
    connection.close()


def test_a_server_that_will_not_end_transactions_is_no_hindrance(
    connection: MongoConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on when the command is refused; the sessions are forgotten, and it is said once."""
    for _ in range(2):
        connection._abandoned.append({"id": "what the server refuses"})
        with connection.call() as database:
            database.command("ping")
        assert not connection._abandoned
    assert [message.startswith("MongoDB ends abandoned") for message in caplog.messages] == [True]
    connection._abandoned.extend({"id": number} for number in range(2000))
    assert len(connection._abandoned) == 1000


def test_an_abandoned_session_is_not_used_again(connection: MongoConnection) -> None:
    """Its id is for the server to end; a transaction that ran under it would be ended as well."""
    ids: list[Any] = []

    def remember(_: Any, session: ClientSession | None) -> None:
        assert session is not None
        ids.append(session.session_id)

    def fail(database: Any, session: ClientSession | None) -> None:
        remember(database, session)
        raise ExecutionTimeout("too slow", 50)

    connection.transaction(remember)
    with pytest.raises(UnavailableError, match=r"ExecutionTimeout 50$"):
        connection.transaction(fail)
    assert list(connection._abandoned) == [ids[1]]
    connection.transaction(remember)
    assert ids[0] == ids[1] != ids[2]
    assert not connection._abandoned


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
