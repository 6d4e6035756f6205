"""A hashing gate under observation. Its waiters' time runs out when a test says so, and not before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread, current_thread
from typing import Any

from models.errors import UnavailableError
from models.fair_queue import FairQueue, Waiter
from models.hashing_gate import CHANGES_WAITING, LOGINS_WAITING, HashingGate
from tests.recorder import Recorder

PATIENCE = 30  # seconds for what must happen


class Called(Event):
    """The event of a waiter, whose time runs out when ``expire`` is called and not before."""

    def __init__(self) -> None:
        super().__init__()
        self._woken = Event()
        self.after_expiry: Callable[[], object] = lambda: None

    def set(self) -> None:
        super().set()
        self._woken.set()

    def expire(self) -> None:
        self._woken.set()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait(PATIENCE)
        self._woken.wait(PATIENCE)  # or until the test is long over
        called = self.is_set()
        if not called:
            self.after_expiry()
        return called


class Request(Thread):
    """One that wants to hash. ``settled`` is set as soon as it hashes, waits, or is refused."""

    def __init__(self, turn: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._turn = turn
        self._release = Event()
        self.settled, self.hashing, self.ended = Event(), Event(), Event()
        self.waiter: Waiter | None = None
        self.error: UnavailableError | None = None

    def run(self) -> None:
        try:
            with self._turn():
                self.hashing.set()
                self.settled.set()
                self._release.wait(PATIENCE)  # or until the test is long over
        except UnavailableError as error:
            self.error = error
        self.ended.set()
        self.settled.set()

    def finish(self) -> None:
        assert self.hashing.wait(PATIENCE)
        self._release.set()
        self.join(PATIENCE)
        assert self.ended.is_set()

    def expire(self) -> None:
        assert self.waiter is not None
        assert isinstance(self.waiter.called, Called)
        self.waiter.called.expire()

    def catch_up(self) -> bool:
        """Wait until the thread has done what its waiter's fate lets it do; return whether it waits on."""
        if self.waiter is None or self.waiter.called.is_set():
            event = self.ended if self.waiter is not None and self.waiter.displaced else self.settled_for_good()
            assert event.wait(PATIENCE)
            return False
        return True

    def settled_for_good(self) -> Event:
        return self.settled if self.waiter is None else self.hashing


class ObservedQueue(FairQueue):
    """A queue that tells each request that it waits now, and whose waiters wait for as long as the test wants."""

    def add(self, lane: str, rank: int = 0) -> Waiter | None:
        waiter = super().add(lane, rank)
        request = current_thread()
        if waiter is not None and isinstance(request, Request):
            waiter.called = Called()
            request.waiter = waiter
            request.settled.set()
        return waiter


class Gate:
    """A gate under observation."""

    def __init__(self, slots: int, *, logins: int = LOGINS_WAITING, changes: int = CHANGES_WAITING) -> None:
        self._lock = Lock()
        self.given_way = 0
        self.slots = slots
        self.meter = Recorder()
        self.gate = HashingGate(slots, self._giving_way, self.meter)
        self.gate._logins = self.gate._next = ObservedQueue(logins)
        self.gate._changes = self.gate._after = ObservedQueue(changes)
        self.requests: list[Request] = []

    @contextmanager
    def _giving_way(self) -> Iterator[None]:
        with self._lock:
            self.given_way += 1
        try:
            yield
        finally:
            with self._lock:
                self.given_way -= 1

    def login(self, network: str = "a", failures: int = 0) -> Request:
        return self._begin(lambda: self.gate.login(network, failures))

    def change(self, user_id: str = "u") -> Request:
        return self._begin(lambda: self.gate.change(user_id))

    def _begin(self, turn: Callable[[], Any]) -> Request:
        request = Request(turn)
        self.requests.append(request)
        request.start()
        assert request.settled.wait(PATIENCE)
        return request

    def finish_in_order(self) -> list[Request]:
        """Finish what hashes, one after the other, until nothing does; return the order."""
        done: list[Request] = []
        while running := [request for request in self.requests if self.is_running(request)]:
            running[0].finish()
            done.append(running[0])
        return done

    def is_running(self, request: Request) -> bool:
        return not request.catch_up() and request.hashing.is_set() and not request.ended.is_set()

    def assert_idle(self) -> None:
        """Hold the gate to this: as many turns are free as there were, nobody waits, and nobody gives way."""
        for request in self.requests:
            request.join(PATIENCE)
        assert self.gate._free == self.slots
        assert len(self.gate._logins) == len(self.gate._changes) == 0
        assert self.given_way == 0
        assert not any(self.meter.gauges.values())
