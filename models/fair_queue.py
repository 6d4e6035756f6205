"""A short queue that is fair between lanes: who asks for much waits behind who asks for little."""

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Event

_FADING = 30.0  # seconds in which what a lane was given fades to a third
_MOST_LANES = 4096


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits. ``called`` is set when its turn has come, and also when it was ``displaced``."""

    lane: str
    rank: int
    number: int
    called: Event = field(default_factory=Event)
    displaced: bool = False


class FairQueue:
    """At most ``capacity`` waiters in lanes; the next one is of the lane that was given the fewest turns lately.

    Within a lane the lowest rank goes first, and then who came first. When the queue is full, the newest of the longest
    lane makes room for who comes from a shorter one: so one lane can neither fill the queue for the others, nor make
    them wait for more than what runs. Within a lane, the highest rank makes room for a lower one. Not safe for threads
    by itself: ``HashingGate`` holds a lock.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._numbers = count()
        self._lanes: dict[str, list[Waiter]] = {}
        self._given: dict[str, tuple[float, float]] = {}  # turns, and when that was right
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, lane: str, rank: int = 0) -> Waiter | None:
        """Queue up in ``lane``; ``None`` when there is no room."""
        waiters = self._lanes.get(lane, [])
        if self._length >= self._capacity:
            longest = max(self._lanes.values(), key=len)
            within = len(longest) <= len(waiters) + 1
            last = max(waiters if within else longest, key=lambda waiter: (waiter.rank, waiter.number), default=None)
            if last is None or (within and last.rank <= rank):
                return None
            last.displaced = True
            self.remove(last)
            last.called.set()
        waiter = Waiter(lane, rank, next(self._numbers))
        self._lanes.setdefault(lane, waiters).append(waiter)
        self._length += 1
        return waiter

    def remove(self, waiter: Waiter) -> bool:
        """Take a waiter out; return whether it was still in."""
        waiters = self._lanes.get(waiter.lane, [])
        if waiter not in waiters:
            return False
        waiters.remove(waiter)
        self._length -= 1
        if not waiters:
            del self._lanes[waiter.lane]
        return True

    def call_next(self) -> bool:
        """Give the next waiter its turn; return whether there was one."""
        if not self._lanes:
            return False
        waiters = min(self._lanes.values(), key=lambda lane: (self._turns_of(lane[0].lane), lane[0].number))
        waiter = min(waiters, key=lambda waiter: (waiter.rank, waiter.number))
        self.remove(waiter)
        self.note_turn(waiter.lane)
        waiter.called.set()
        return True

    def note_turn(self, lane: str) -> None:
        """Count a turn that was given to ``lane``, after waiting or at once."""
        self._given[lane] = (self._turns_of(lane) + 1, self._clock())
        if len(self._given) > _MOST_LANES:
            now = self._clock()
            most = heapq.nlargest(_MOST_LANES // 2, ((self._turns_of(lane), lane) for lane in self._given))
            self._given = {lane: (turns, now) for turns, lane in most}

    def _turns_of(self, lane: str) -> float:
        turns, at = self._given.get(lane, (0.0, 0.0))
        return turns and turns * math.exp((at - self._clock()) / _FADING)
