"""Requests that need not wait are answered on the event loop, and all others in threads, to the same effect."""

import asyncio
import dataclasses
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from api.application import Doorman
from api.limits import Limits
from api.read_ahead import _SLOW_SECONDS
from api.server import AsgiApplication
from api.settings import Settings
from app import create_app
from models.errors import UnavailableError
from models.waiting import WouldWaitError, about_to_wait, without_waiting
from tests.api.conftest import USERS
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

ALICE: dict[str, Any] = {
    "id": "0" * 24,
    "user_name": "alice",
    "name_key": "alice",
    "token_digests": ("a digest",),
    "email": None,
    "email_key": None,
}
BASIC = "Basic " + b64encode(":".join(ADMIN).encode()).decode()
BEARER = f"Bearer {ADMIN_TOKEN}"


class Served:
    """Doorman behind its adapter, in an event loop of the test's; ``threads`` names those that ran Flask."""

    def __init__(self, environment: Environment, **limits: float) -> None:
        self.app: Doorman = create_app(Settings.from_env(environment | {"THREADS": "2"}))
        self.threads: list[str] = []
        self.app.before_request(lambda: self.threads.append(threading.current_thread().name))
        self._asgi = AsgiApplication(lambda: self.app, limits=Limits(**limits))  # type: ignore[arg-type]  # two of them are whole numbers

    async def get(self, path: str, authorization: str) -> int:
        """Return the status of one request."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._asgi(
            {
                "type": "http",
                "http_version": "1.1",
                "method": "GET",
                "path": path.partition("?")[0],
                "raw_path": path.partition("?")[0].encode(),
                "query_string": path.partition("?")[2].encode(),
                "headers": [(b"host", b"doorman.test"), (b"authorization", authorization.encode())],
                "client": ("192.0.2.1", 1),
            },
            receive,
            send,
        )
        status: int = sent[0]["status"]
        return status

    @contextmanager
    def all_readers_held(self) -> Iterator[None]:
        """Let no shared read begin."""
        release = threading.Event()
        for _ in range(4):
            self._asgi._reads._pool.submit(release.wait)
        try:
            yield
        finally:
            release.set()


@pytest.fixture
def served(environment: Environment) -> Iterator[Served]:
    found = Served(environment)
    yield found
    found.app.close()


@pytest.mark.parametrize("authorization", [BASIC, BEARER])
@pytest.mark.parametrize("path", [f"{USERS}/root", "/api/v2/verify", "/api/v2/verify?group=manager,admin"])
def test_a_known_caller_is_answered_on_the_event_loop(served: Served, authorization: str, path: str) -> None:
    """The first request is checked in a thread; the next ones run on the loop itself, and find the same."""

    async def session() -> list[int]:
        return [await served.get(path, authorization) for _ in range(3)]

    assert asyncio.run(session()) == [200, 200, 200]
    assert served.threads[0].startswith("wsgi-")
    assert served.threads[1:] == ["MainThread"] * 2


def test_what_has_to_wait_goes_to_a_thread(served: Served) -> None:
    """A credential that is not remembered, a user who has changed, and a list are no matter for the loop."""

    async def session() -> list[int]:
        found = [await served.get(f"{USERS}/root", BASIC)]
        user = served.app.core.accounts.get("root")
        served.app.core.store.replace(
            user,
            user.changed(user.updated_at, disabled=False, password_hash="$2b$04$" + "." * 53),
            (),
        )
        found.append(await served.get(f"{USERS}/root", BASIC))
        return [*found, await served.get(USERS, BEARER), await served.get(f"{USERS}/root", BEARER)]

    assert asyncio.run(session()) == [200, 401, 200, 200]
    assert not any(name == "MainThread" for name in served.threads[2:3])
    assert served.threads[-1] == "MainThread"


@pytest.mark.parametrize("authorization", [BASIC, BEARER])
def test_another_user_is_read_on_the_loop(served: Served, authorization: str) -> None:
    """Caller and user are read together, whatever the caller is known by."""

    async def session() -> list[int]:
        return [await served.get(f"{USERS}/{name}", authorization) for name in ("root", "alice", "alice")]

    user = served.app.core.accounts.get("root")
    served.app.core.store.insert([dataclasses.replace(user, **ALICE)], ())
    assert asyncio.run(session()) == [200] * 3
    assert served.threads[1:] == ["MainThread"] * 2


def test_more_users_than_one_batch_holds_are_read_ahead(served: Served) -> None:
    """Two hundred requests for as many users need no thread of the pool but the first."""

    async def session() -> list[int]:
        await served.get(f"{USERS}/root", BASIC)
        return await asyncio.gather(*(served.get(f"{USERS}/user{number}", BASIC) for number in range(200)))

    assert set(asyncio.run(session())) == {403}
    assert set(served.threads[1:]) == {"MainThread"}


def test_users_who_are_not_there_are_told_on_the_loop(served: Served) -> None:
    """The answer that there is no such user needs no thread either."""

    async def session() -> list[int]:
        await served.get(f"{USERS}/root", BASIC)
        return [await served.get(f"{USERS}/nobody", BASIC)]

    assert asyncio.run(session()) == [403]
    assert served.threads[1:] == ["MainThread"]


def test_an_outage_is_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the read fails, everybody in it is answered 503, and the next read is tried."""

    async def session() -> list[int]:
        await served.get(f"{USERS}/root", BASIC)
        with monkeypatch.context() as patch:
            patch.setattr(served.app.core.lookups._by_name, "_read", unavailable)
            failed = await asyncio.gather(*(served.get(f"{USERS}/root", BASIC) for _ in range(20)))
        return [*failed, await served.get(f"{USERS}/root", BASIC)]

    assert asyncio.run(session()) == [503] * 20 + [200]


def unavailable(_: object) -> Any:
    raise UnavailableError("the test says so")


def test_reads_that_get_no_thread_are_given_up(environment: Environment) -> None:
    """Who waits too long for the shared read is told to come again; once threads are free, all is as before."""
    served = Served(environment, queue_seconds=0.2)

    async def session() -> list[int]:
        found = [await served.get(f"{USERS}/root", BASIC)]
        with served.all_readers_held():
            found += await asyncio.gather(*(served.get(f"{USERS}/root", BASIC) for _ in range(5)))
        return [*found, await served.get(f"{USERS}/root", BASIC)]

    try:
        assert asyncio.run(session()) == [200] + [503] * 5 + [200]
    finally:
        served.app.close()


def test_a_slow_read_holds_up_nobody_who_comes_after_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one read hangs, and has for longer than a read takes, the next requests are read for at once."""
    lookups = served.app.core.lookups
    read, release, hanging = lookups._by_name._read, threading.Event(), threading.Event()

    def hang_once(keys: Any) -> Any:
        if not hanging.is_set():
            hanging.set()
            release.wait(30)
        return read(keys)

    async def session() -> list[int]:
        await served.get(f"{USERS}/root", BASIC)
        monkeypatch.setattr(lookups._by_name, "_read", hang_once)
        first = asyncio.ensure_future(served.get(f"{USERS}/root", BASIC))
        await asyncio.to_thread(hanging.wait)
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * _SLOW_SECONDS, later.set)  # the round's own timer goes first
        await later.wait()
        found = [await asyncio.wait_for(served.get(f"{USERS}/root", BASIC), 20) for _ in range(3)]
        assert not first.done()
        release.set()
        return [*found, await first]

    try:
        assert asyncio.run(session()) == [200] * 4
    finally:
        release.set()


def test_many_at_once_share_few_reads(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred simultaneous requests are answered by a handful of reads of the store."""
    lookups = served.app.core.lookups
    read, reads = lookups._by_name._read, []

    def counted(keys: Any) -> Any:
        reads.append(len(keys))
        return read(keys)

    async def session() -> list[int]:
        await served.get(f"{USERS}/root", BASIC)
        monkeypatch.setattr(lookups._by_name, "_read", counted)
        return await asyncio.gather(*(served.get(f"{USERS}/root", BASIC) for _ in range(100)))

    assert asyncio.run(session()) == [200] * 100
    assert len(reads) < 10


def test_waiting_is_stopped_where_it_would_begin() -> None:
    """Inside ``without_waiting`` no code gets past where it would wait, not even one that handles all errors."""

    def handle_errors() -> None:
        with suppress(Exception):
            about_to_wait()
        pytest.fail("it went on")

    with pytest.raises(WouldWaitError), without_waiting():
        handle_errors()
    about_to_wait()


def test_every_call_of_the_store_may_wait(served: Served) -> None:
    """Whatever asks the database is known to wait, on either store."""
    store = served.app.core.store
    now = served.app.core.accounts.get("root").updated_at
    for call in (
        store.ping,
        store.has_admin,
        lambda: store.find_users([("root", 0)]),
        lambda: store.counters.find(["key"], now=now),
        lambda: store.counters.add(["key"], now=now, expires_at=now),
        lambda: store.list_names(limit=1),
        lambda: store.raise_highest_cost(16),
        lambda: store.note_foreign_hashes(()),
        lambda: store.records.find("kind", "id", now=now),
        lambda: store.purge(now=now),
    ):
        with pytest.raises(WouldWaitError), without_waiting():
            call()
