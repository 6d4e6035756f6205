"""The gate before bcrypt: hashing takes a core each time, so few run at once, and the others wait for their turn."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock

from models.errors import UnavailableError
from models.fair_queue import FairQueue, Waiter
from models.meter import (
    HASHING_REFUSED,
    HASHING_RUNNING,
    HASHING_TIME,
    HASHING_WAIT,
    HASHING_WAITING,
    UNMETERED,
    Meter,
)
from models.waiting import about_to_wait

# Logins wait in lanes by network, for so long that a good one is not lost, and so few that the wait stays short.
LOGINS_WAITING, LOGIN_PATIENCE = 32, 5.0  # requests, seconds
# Admins, and the operator, who have something to be hashed wait in lanes of their own.
CHANGES_WAITING, CHANGE_PATIENCE = 64, 15.0

GivingWay = Callable[[], AbstractContextManager[None]]


class HashingGate:
    """At most ``slots`` hashes at once in this process; logins and changes wait in a queue each, and take turns.

    bcrypt releases the interpreter's lock, so hashing scales to the cores and no further. ``giving_way`` surrounds the
    waiting and the hashing: the server may let another thread run requests meanwhile.
    """

    def __init__(self, slots: int, giving_way: GivingWay = nullcontext, meter: Meter = UNMETERED) -> None:
        self._lock = Lock()
        self._free = slots
        self.giving_way = giving_way
        self._meter = meter
        self._logins = FairQueue(LOGINS_WAITING)
        self._changes = FairQueue(CHANGES_WAITING)
        self._next, self._after = self._logins, self._changes

    def login(self, network: str, failures: int = 0) -> AbstractContextManager[None]:
        """Hold a turn to check a password. Raises ``UnavailableError`` when it is waited for in vain.

        Of one network, who has fewer ``failures`` goes first. They order, and never refuse.
        """
        return self._turn("logins", self._logins, network, failures, LOGIN_PATIENCE)

    def change(self, user_id: str) -> AbstractContextManager[None]:
        """Hold a turn to hash what a known user gave. Raises ``UnavailableError`` when it is waited for in vain."""
        return self._turn("changes", self._changes, user_id, 0, CHANGE_PATIENCE)

    def is_awaited(self) -> bool:
        """Tell whether somebody waits for a turn."""
        with self._lock:
            return bool(len(self._logins) or len(self._changes))

    @contextmanager
    def _turn(self, name: str, queue: FairQueue, lane: str, rank: int, patience: float) -> Iterator[None]:
        about_to_wait()
        came = time.perf_counter()
        waiter = self._enter(name, queue, lane, rank)
        has_slot = waiter is None
        try:
            with self.giving_way():
                if waiter is not None:
                    self._await_turn(name, queue, waiter, patience)
                    has_slot = True
                with self._measured(name, came):
                    yield
        finally:
            if has_slot:
                self._give_back()

    @contextmanager
    def _measured(self, name: str, came: float) -> Iterator[None]:
        began = time.perf_counter()
        self._meter.observe(HASHING_WAIT, began - came, name)
        self._meter.move(HASHING_RUNNING, 1)
        try:
            yield
        finally:
            self._meter.move(HASHING_RUNNING, -1)
            self._meter.observe(HASHING_TIME, time.perf_counter() - began, name)

    def _enter(self, name: str, queue: FairQueue, lane: str, rank: int) -> Waiter | None:
        """Take a slot, or else queue up for one."""
        with self._lock:
            if self._free:
                self._free -= 1
                queue.note_turn(lane)
                return None
            waiter = queue.add(lane, rank)
        if waiter is None:
            self._meter.count(HASHING_REFUSED, name, "full")
            raise UnavailableError("too many wait for a password to be hashed")
        return waiter

    def _await_turn(self, name: str, queue: FairQueue, waiter: Waiter, patience: float) -> None:
        self._meter.move(HASHING_WAITING, 1, name)
        try:
            is_late = not waiter.called.wait(patience)
        finally:
            self._meter.move(HASHING_WAITING, -1, name)
        if is_late:
            with self._lock:
                gone = queue.remove(waiter)
            if gone:
                self._meter.count(HASHING_REFUSED, name, "late")
                raise UnavailableError("a password waited too long to be hashed")
            waiter.called.wait()  # its turn came meanwhile
        if waiter.displaced:
            self._meter.count(HASHING_REFUSED, name, "displaced")
            raise UnavailableError("too many of one network wait for a password to be hashed")

    def _give_back(self) -> None:
        with self._lock:
            self._next, self._after = self._after, self._next
            if not (self._next.call_next() or self._after.call_next()):
                self._free += 1


def slots_for(workers: int) -> int:
    """Return how many hashes each of ``workers`` processes may run at once, for all cores to be used and no more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, round(min(cores, _quota()) / workers))


def _quota() -> float:
    """Return how many cores a container may use (Linux's cgroup v2); infinite where nothing says so."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return math.inf
