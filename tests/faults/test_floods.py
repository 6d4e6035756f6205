"""Floods of wrong passwords against a real server: what the others notice of them, and what is left of them after."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from threading import Barrier, Event, Lock
from typing import TypeVar

import bcrypt
import pytest

from api.settings import Settings
from app import create_core
from tests.api.small_app import until
from tests.databases import Environment
from tests.faults.extent import extent
from tests.running import SOURCES, Doorman
from tests.storage.stores import make_user
from tests.workers import Line, lines_to_workers, on_linux

pytestmark = [pytest.mark.alone, on_linux]

ROUNDS = 10
PASSWORD = "a fine password"
# Long enough for a machine that does much else; a client that is kept out by the flood gets no 200 in any time.
BOUND_SECONDS = 5.0
PAUSE = 0.01  # seconds between the requests of one connection, which leaves some of the machine to the server
# Some threads may be there that are not the pool's: of the driver, of the server.
MORE_THREADS = 2

Serve = Callable[[Environment], Doorman]
Credential = tuple[str, str]
Result = TypeVar("Result")


def with_users(environment: Environment, rounds: int = ROUNDS) -> Environment:
    """Put users there past the hashing, whom no worker has seen yet."""
    environment = environment | {"BCRYPT_ROUNDS": str(rounds)}
    core = create_core(Settings.from_env(environment))
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds)).decode()
    names = ["known", "popular", "attacked", *(f"{kind}{n}" for kind in ("new", "near", "attacked") for n in range(8))]
    core.store.insert([make_user(name, password_hash=hashed) for name in names], ())
    core.store.close()
    return environment


@pytest.fixture
def doorman(environment: Environment, serve: Serve) -> Doorman:
    """Two workers over each store."""
    return serve(with_users(environment) | {"WORKERS": "2"})


class Clients:
    """Connections that go on asking until they are told to stop: how often each status came, and the longest wait."""

    def __init__(self) -> None:
        self.stop = Event()
        self.statuses = Counter[int]()
        self.longest = 0.0
        self._lock = Lock()

    def ask(self, line: Line, credentials: Callable[[], Credential]) -> None:
        while not self.stop.wait(PAUSE):
            begun = time.monotonic()
            status = line.get("known", credentials())
            with self._lock:
                self.statuses[status] += 1
                self.longest = max(self.longest, time.monotonic() - begun)
        line.close()


@contextmanager
def asking(lines: Sequence[Line], credentials: Callable[[], Credential]) -> Iterator[Clients]:
    """Let a client ask on each of the connections, and go on once they have been answered."""
    clients = Clients()
    with ThreadPoolExecutor(len(lines)) as pool:
        begun = [pool.submit(clients.ask, line, credentials) for line in lines]
        try:
            until(lambda: clients.statuses.total() >= 2 * len(lines), "the first answers")
            yield clients
        finally:
            clients.stop.set()
        for client in begun:
            client.result()


@contextmanager
def beside_a_flood(doorman: Doorman, sources: Sequence[str], names: Callable[[int], str]) -> Iterator[None]:
    """Flood ``names`` with wrong passwords; hold that known clients notice nothing, and that nothing is left of it."""
    numbers = count()

    def wrong() -> Credential:
        number = next(numbers)
        return names(number), f"wrong {number}"

    # Every worker is asked, and has all the threads that it needs for that.
    lines = [line for _ in range(2) for line in lines_to_workers(doorman).values()]
    with asking(lines, lambda: ("known", PASSWORD)) as known:
        threads = {worker: threads_of(worker) for worker in doorman.workers()}
        with asking([Line(doorman.port, source) for source in sources], wrong) as flood:
            yield
    assert {401} <= flood.statuses.keys() <= {401, 429, 503}
    assert known.statuses.keys() == {200}
    assert known.longest < BOUND_SECONDS
    assert doorman.workers() == [*threads]
    until(
        lambda: all(threads_of(worker) <= before + MORE_THREADS for worker, before in threads.items()),
        "the threads that took others' places to end",
    )
    assert doorman.stop() == 0
    assert "Traceback" not in doorman.log


def threads_of(worker: int) -> int:
    (line,) = (line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("Threads:"))
    return int(line.split()[1])


def log_in(doorman: Doorman, name: str, source: str) -> tuple[int, bool]:
    """Log in for the first time; return the status, and whether it came in time."""
    line, begun = Line(doorman.port, source), time.monotonic()
    status = line.get(name, (name, PASSWORD))
    line.close()
    return status, time.monotonic() - begun < BOUND_SECONDS


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run the calls at the same time."""
    together = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def create_eight(doorman: Doorman) -> list[int]:
    """Create users, all at the same time; return the statuses."""
    create = partial(doorman.call, "POST", json={"password": PASSWORD})
    return [answer.status_code for answer in at_once([partial(create, f"/created{number}") for number in range(8)])]


def test_a_flood_of_one_name_keeps_nobody_out(doorman: Doorman) -> None:
    """Others log in for the first time, from elsewhere and from the attacker's own address; creates are all done."""
    attacker = "127.9.0.1"
    with beside_a_flood(doorman, [attacker] * 16, lambda _: "attacked"):
        for number in range(4):
            assert log_in(doorman, f"new{number}", next(SOURCES)) == (200, True)
            assert log_in(doorman, f"near{number}", attacker) == (200, True)
        # The attacked user too: nobody is locked out from elsewhere.
        assert log_in(doorman, "attacked", next(SOURCES)) == (200, True)
        assert create_eight(doorman) == [200] * 8


def test_a_flood_of_many_names_from_a_network_keeps_nobody_out(doorman: Doorman) -> None:
    """200 names from many addresses of one /16: first logins from other networks succeed, and creates are all done."""
    sources = [f"127.0.{number}.{number + 1}" for number in range(extent(24, 64))]
    with beside_a_flood(doorman, sources, lambda number: f"attacked{number % 200}"):
        for number in range(extent(4, 8)):
            assert log_in(doorman, f"new{number}", f"127.{number + 20}.0.1") == (200, True)
        assert create_eight(doorman) == [200] * 8


def test_simultaneous_first_requests_are_all_answered(doorman: Doorman) -> None:
    """16 first requests at once with the same right credential, from one address and from many, all get 200."""
    for name, sources in (("known", ["127.9.0.1"] * 16), ("popular", [next(SOURCES) for _ in range(16)])):
        answers = at_once([partial(log_in, doorman, name, source) for source in sources])
        assert [status for status, _ in answers] == [200] * 16


def test_who_waits_for_a_hash_leaves_the_thread_to_others(sqlite_environment: Environment, serve: Serve) -> None:
    """While eight first logins wait for each other, the server's only thread answers known clients."""
    doorman = serve(with_users(sqlite_environment, rounds=12) | {"WORKERS": "1", "THREADS": "1"})
    with asking([Line(doorman.port)], lambda: ("known", PASSWORD)) as known:
        before = known.statuses.total()
        logins = at_once([partial(log_in, doorman, f"new{number}", next(SOURCES)) for number in range(8)])
        answered = known.statuses.total() - before
    assert [status for status, _ in logins] == [200] * 8
    assert answered > len(logins)
