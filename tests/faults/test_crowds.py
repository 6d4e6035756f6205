"""Crowds of slow clients before the whole product: those who are quick go on as if they were alone."""

import resource
import selectors
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median, quantiles
from threading import Event, Thread

import pytest

from api.settings import Settings
from app import create_core
from models.storage import Store
from tests.databases import ADMIN, Environment
from tests.faults.extent import extent
from tests.running import SOURCES, Doorman
from tests.storage.stores import make_user
from tests.workers import Line, on_linux

pytestmark = [pytest.mark.alone, on_linux]

USERS = extent(3_000, 1_000_000)
GOOD = 4  # quick clients
WINDOWS, SECONDS = extent((3, 0.15), (5, 4.0))
# Where much else runs, what is short may be anything; a client that is held up waits for seconds.
MOST_TIMES, MOST_SECONDS = extent((None, 1.0), (2.0, None))
PACE = extent(0.1, 1.0)  # seconds between what each of a crowd sends or reads
_AUTHORIZATION = b"Authorization: Basic " + b64encode(":".join(ADMIN).encode())


@dataclass(frozen=True)
class Manner:
    """How each of a crowd begins, what it sends at its pace, and how much it reads then."""

    count: int
    first: bytes
    more: bytes = b""
    reads: int = 0
    receive_buffer: int | None = None


_SLOW_BODY = b"POST /login.json HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"

CROWDS = {
    "slow headers": Manner(extent(200, 2000), b"GET /healthz/live HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x"),
    "slow bodies": Manner(
        extent(200, 2000), b"POST /login.json HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n", b" "
    ),
    "slow readers": Manner(
        extent(30, 300), b"GET /api/v2/users HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % _AUTHORIZATION, b"", 1024, 4096
    ),
    "idle connections": Manner(extent(500, 5000), b""),
}


class Crowd:
    """Clients of one manner; who is shut out comes again."""

    def __init__(self, port: int, manner: Manner) -> None:
        self._port = port
        self._manner = manner
        self._selector = selectors.DefaultSelector()
        self._stop = Event()
        self.is_under_way = Event()  # each has sent or read for the first time
        self.shut_out = 0

    def begin(self) -> None:
        for _ in range(self._manner.count):
            self._connect()

    def go_on(self) -> None:
        """Send and read at the crowd's pace, until told to stop."""
        while not self._stop.wait(PACE):
            ended = {key.fileobj for key, _ in self._selector.select(0) if self._has_ended(key.fileobj)}
            for key in list(self._selector.get_map().values()):
                if key.fileobj not in ended and self._manner.more:
                    with suppress(OSError):
                        key.fileobj.send(self._manner.more)  # type: ignore[union-attr]  # it is a socket
            for client in ended:
                self.shut_out += 1
                self._drop(client)
                self._connect()
            self.is_under_way.set()

    def stop(self) -> None:
        self._stop.set()

    def leave(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._drop(key.fileobj)
        self._selector.close()

    def _connect(self) -> None:
        client = socket.socket()
        if self._manner.receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._manner.receive_buffer)
        client.bind((next(SOURCES), 0))
        client.connect(("127.0.0.1", self._port))
        client.sendall(self._manner.first)
        client.setblocking(False)  # noqa: FBT003 - the method's own parameter
        self._selector.register(client, selectors.EVENT_READ)

    def _has_ended(self, client: object) -> bool:
        assert isinstance(client, socket.socket)
        try:
            return not client.recv(self._manner.reads or 4096)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _drop(self, client: object) -> None:
        assert isinstance(client, socket.socket)
        self._selector.unregister(client)
        client.close()


@contextmanager
def crowded(doorman: Doorman, manner: Manner) -> Iterator[Crowd]:
    crowd = Crowd(doorman.port, manner)
    try:
        crowd.begin()
        thread = Thread(target=crowd.go_on)
        thread.start()
        try:
            assert crowd.is_under_way.wait(60)
            yield crowd
        finally:
            crowd.stop()
            thread.join()
    finally:
        crowd.leave()


def p99(lines: list[Line]) -> float:
    """Let the quick clients ask for one window, and return the 99th percentile of their seconds."""

    def ask(line: Line) -> list[float]:
        times, until = [], time.monotonic() + SECONDS
        while time.monotonic() < until:
            began = time.perf_counter()
            assert line.get("root", ADMIN) == 200
            times.append(time.perf_counter() - began)
            time.sleep(0.002)
        return times

    with ThreadPoolExecutor(len(lines)) as pool:
        times = [seconds for of_line in pool.map(ask, lines) for seconds in of_line]
    return quantiles(times, n=100)[-1]


@pytest.fixture
def doorman(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    """Two workers over a list that no buffer takes."""
    core = create_core(Settings.from_env(sqlite_environment))
    fill(core.store)
    core.close()
    return serve(sqlite_environment | {"WORKERS": "2"})


def fill(store: Store) -> None:
    for begin in range(0, USERS, 200):
        store.insert([make_user(f"user{number:040}") for number in range(begin, begin + 200)], ())


@pytest.fixture(autouse=True)
def _enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(3600)
def test_slow_crowds_are_not_felt(doorman: Doorman, record_property: Callable[[str, object], None]) -> None:
    """Beside slow headers, bodies and readers and idle connections, quick clients keep their p99 within twice."""
    lines = [Line(doorman.port) for _ in range(GOOD)]
    p99(lines)  # connections, hashes and threads begin
    for name, manner in CROWDS.items():
        quiet = median(p99(lines) for _ in range(WINDOWS))
        with crowded(doorman, manner) as crowd:
            beside = median(p99(lines) for _ in range(WINDOWS))
        figures = f"{quiet * 1000:.1f} ms alone, {beside * 1000:.1f} beside {manner.count}"
        record_property(f"p99, {name}", f"{figures} ({beside / quiet:.2f} times; {crowd.shut_out} were shut out)")
        assert MOST_TIMES is None or beside <= MOST_TIMES * quiet, (name, figures)
        assert MOST_SECONDS is None or beside <= MOST_SECONDS, (name, figures)
    for line in lines:
        line.close()
    assert doorman.stop() == 0
    assert "Traceback" not in doorman.log
