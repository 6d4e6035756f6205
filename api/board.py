"""Shared memory in which the workers keep their figures, and from which their parent reads them.

It is made before the workers are forked, and ends with the service: there are no files to clean up. A figure that is
written is there at once, so nothing is lost with a worker that dies; the one in its place goes on counting where it
ended. Each place has one writer, hence no lock that a dying process could keep.
"""

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Protocol

from api.metrics import METRICS, WORKER_STARTS
from models.meter import UNMETERED, Counter, Gauge, Histogram, Meter, Metric

Series = tuple[Metric, tuple[str, ...]]

_NUMBERS = 8192  # of eight bytes, a place; the system gives memory only for those that are used
_HEAD = 4
_TEXT_BYTES = 192 * 1024
_PLACE_BYTES = 8 * (_HEAD + _NUMBERS) + _TEXT_BYTES
# Of the head: the process that writes here, how much of the text and of the numbers is in use, what found no room.
_PROCESS, _TEXT, _USED, _LOST = range(_HEAD)
_METRICS = {metric.name: metric for metric in METRICS}


class Place:
    """Where one process at a time writes: numbers, and a text that has a line for each series, in their order."""

    def __init__(self, worker: int, memory: memoryview) -> None:
        self.worker = worker
        self.numbers = memory[: 8 * (_HEAD + _NUMBERS)].cast("d")
        self._text = memory[8 * (_HEAD + _NUMBERS) :]

    def claim(self) -> None:
        """Make it this process's. What its predecessor counted stays, what it had at the moment does not."""
        for (metric, _), slot in self.series():
            if isinstance(metric, Gauge):
                self.numbers[slot] = 0.0
        self.numbers[_USED] = max(self.numbers[_USED], _HEAD)
        self.numbers[_PROCESS] = os.getpid()

    def process(self) -> int | None:
        """Return the id of the process that writes here, if it lives."""
        number = int(self.numbers[_PROCESS])
        if number:
            with suppress(ProcessLookupError):
                os.kill(number, 0)
                return number
        return None

    def lost(self) -> int:
        """Return how many figures found no room."""
        return int(self.numbers[_LOST])

    def series(self) -> Iterator[tuple[Series, int]]:
        """Yield each series with the place of its first number."""
        slot = _HEAD
        for line in bytes(self._text[: int(self.numbers[_TEXT])]).decode().split("\n")[:-1]:
            name, *labels = line.split("\t")
            yield (_METRICS[name], tuple(labels)), slot
            slot += _width(_METRICS[name])

    def add(self, series: Series) -> int | None:
        """Return the place of a new series' first number; ``None`` when there is no room, which is counted."""
        metric, labels = series
        line = ("\t".join((metric.name, *labels)) + "\n").encode()
        begin, slot = int(self.numbers[_TEXT]), int(self.numbers[_USED])
        if begin + len(line) > _TEXT_BYTES or slot + _width(metric) > len(self.numbers):
            self.numbers[_LOST] += 1
            return None
        self._text[begin : begin + len(line)] = line
        self.numbers[_USED] = slot + _width(metric)
        self.numbers[_TEXT] = begin + len(line)  # last: whoever reads, or comes after a death, finds whole lines
        return slot


class SharedMeter:
    """Writes the figures of this process to its place, in some 0.4 µs each.

    An aligned number of eight bytes is written at once, so whoever reads sees the one before or the one after.
    """

    def __init__(self, place: Place) -> None:
        place.claim()
        self._place = place
        self._numbers = place.numbers
        self._slots: dict[Series, int] = dict(place.series())
        self._lock = Lock()
        self.count(WORKER_STARTS)

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        slot = self._slots.get((counter, labels)) or self._added((counter, labels))
        if slot is not None:
            with self._lock:
                self._numbers[slot] += by

    def move(self, gauge: Gauge, by: int, *labels: str) -> None:
        slot = self._slots.get((gauge, labels)) or self._added((gauge, labels))
        if slot is not None:
            with self._lock:
                self._numbers[slot] += by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        slot = self._slots.get((histogram, labels)) or self._added((histogram, labels))
        if slot is not None:
            bucket = slot + bisect_left(histogram.bounds, seconds)
            with self._lock:
                self._numbers[bucket] += 1
                self._numbers[slot + len(histogram.bounds) + 1] += seconds

    def _added(self, series: Series) -> int | None:
        with self._lock:
            slot = self._slots.get(series)
            if slot is None:
                slot = self._place.add(series)
                if slot is not None:
                    self._slots[series] = slot
            return slot


class Metering(Protocol):
    """What gives a worker its meter. There are as many places as twice the workers: see ``serving``."""

    def meter(self, place: int) -> Meter: ...

    def begin(self) -> None: ...  # called once the workers have been started


class NoMetering:
    """Nothing is counted."""

    def meter(self, _: int) -> Meter:
        """Return what lets go of every figure."""
        return UNMETERED

    def begin(self) -> None:
        """Begin nothing."""


class Board:
    """The places of all workers: two for each, since one that is replaced may go on while the next one begins."""

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, 2 * workers * _PLACE_BYTES))
        self.places = [
            Place(number % workers + 1, memory[number * _PLACE_BYTES : (number + 1) * _PLACE_BYTES])
            for number in range(2 * workers)
        ]

    def meter(self, place: int) -> SharedMeter:
        return SharedMeter(self.places[place])


def _width(metric: Metric) -> int:
    """Return how many numbers a series has: of a histogram one for each bucket, the last one too, and the sum."""
    return len(metric.bounds) + 2 if isinstance(metric, Histogram) else 1
