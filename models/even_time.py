"""Making refusals take one time where passwords are hashed in several ways, whose costs have no common measure.

Between two costs of bcrypt the difference is a sum of bcrypt's own costs, so nothing need be timed. Between bcrypt and
what other systems use it is known by the clock alone: the thread's own, of the processor's time, so that how busy the
machine is changes nothing about what is computed.
"""

import hashlib
import time
from collections.abc import Callable, Collection
from threading import Lock

from models import bcrypt_hashes
from models.bcrypt_hashes import LEAST_ROUNDS, MOST_ROUNDS
from models.foreign_hashes import ForeignHash, find_hash

_TIMED_COST = 7  # of bcrypt: some milliseconds, from which the other costs are reckoned
_RUNS = 3
_MOST_SEEN = 1024  # recipes: more are looked at each time, and cost some microseconds
_MARGIN = 1.2  # over what was measured, since a check may take a little longer than those that were
_FURTHEST = 2.0  # times that which was measured: whatever slows down a check may move the end no further


class EvenTime:
    """The time that each refusal takes in this process, once there is a foreign hash.

    It is that of the dearest kind of hash that is known of, by the measure of this very machine, and some more. The end
    is met within some microseconds, whatever was computed before. ``clock`` gives seconds of the calling thread's
    work.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.now = clock
        self._lock = Lock()
        self._measured: dict[str, float] = {}  # seconds by family, of the one with the most work
        self._works: dict[str, int] = {}
        self._seen: set[str] = set()
        self._unit = 0.0  # seconds of bcrypt for each of its 2^cost rounds
        self._end = self._furthest = 0.0

    @property
    def is_needed(self) -> bool:
        return bool(self._measured)

    def expect(self, recipes: Collection[str], highest: int) -> bool:
        """Measure what is not known yet, of one family only what is dearer; return whether there was such."""
        measured = False
        for recipe in recipes:
            if recipe not in self._seen and (found := find_hash(recipe)) is not None:
                measured |= self._measure(found, highest)
                if len(self._seen) < _MOST_SEEN:
                    self._seen.add(recipe)
        return measured

    def pad(self, began: float, highest: int) -> None:
        """Work on until the end of the time that began at ``began``; ``highest`` is the highest cost of bcrypt."""
        if self._seconds(highest) > self._end:
            self._move_end(highest)
        spent = self.now() - began
        if spent > self._end:  # the machine is slower than when it was measured
            self._end = min(spent * _MARGIN, self._furthest)
        end = began + self._end
        while (left := end - self.now()) > 0:
            # One that fits with something to spare, or else what takes a hundredth of the cheapest.
            cost = next((cost for cost in range(MOST_ROUNDS, LEAST_ROUNDS - 1, -1) if self._seconds(cost) < left), None)
            if cost is None:
                hashlib.pbkdf2_hmac("sha256", b"", b"", 16)
            else:
                bcrypt_hashes.spend(b"", cost)

    def _measure(self, found: ForeignHash, highest: int) -> bool:
        with self._lock:
            if self._works.get(found.family, 0) >= found.work:
                return False
            self._unit = self._unit or self._time(lambda: bcrypt_hashes.spend(b"", _TIMED_COST)) / (1 << _TIMED_COST)
            self._measured[found.family] = self._time(found.compute)
            self._works[found.family] = found.work
            self._move_end(highest)
            return True

    def _seconds(self, cost: int) -> float:
        return self._unit * (1 << cost) * _MARGIN

    def _move_end(self, highest: int) -> None:
        dearest = max(self._unit * (1 << highest), *self._measured.values())
        self._end = max(self._end, dearest * _MARGIN)
        self._furthest = max(self._furthest, dearest * _FURTHEST)

    def _time(self, compute: Callable[[], object]) -> float:
        """Return the median of some runs, after one in which what is needed is loaded."""
        compute()
        times = []
        for _ in range(_RUNS):
            began = self.now()
            compute()
            times.append(self.now() - began)
        return sorted(times)[_RUNS // 2]
