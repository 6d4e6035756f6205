"""A meter that remembers."""

from collections import Counter as Tally
from threading import Lock

from models.meter import Counter, Gauge, Histogram

Series = tuple[str, ...]  # the metric's name, and the labels


class Recorder:
    """Keeps what it is given: sums of what is counted and moved, and how often something was timed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.counts = Tally[Series]()
        self.gauges = Tally[Series]()
        self.times = Tally[Series]()

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        with self._lock:
            self.counts[counter.name, *labels] += by

    def move(self, gauge: Gauge, by: int, *labels: str) -> None:
        with self._lock:
            self.gauges[gauge.name, *labels] += by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        assert seconds >= 0
        with self._lock:
            self.times[histogram.name, *labels] += 1
