"""What Prometheus is told: the figures of all workers together, and those of the service."""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from api.board import Board
from api.metrics import METRICS
from models.meter import Counter, Gauge, Histogram, Metric

Numbers = list[float]


class Scrape(Collector):
    """Reads the board. ``about`` is what is told of the service itself: its version, and the like."""

    def __init__(self, board: Board, about: dict[str, str]) -> None:
        self._board = board
        self._about = about
        self._started = time.time()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def answer(self, accept: str) -> tuple[str, bytes]:
        """Return the content type and the text, in the format that ``accept`` asks for if there is one."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        return content_type, encode(self._registry)

    def collect(self) -> Iterator[Family]:
        yield InfoMetricFamily("doorman", "What is running.", self._about)
        yield GaugeMetricFamily("doorman_start_time_seconds", "When the service started.", self._started)
        yield from self._of_workers()
        found = self._numbers()
        for metric in METRICS:
            yield _family(metric, found[metric])

    def _of_workers(self) -> Iterator[Family]:
        processes = [(place.worker, process) for place in self._board.places if (process := place.process())]
        yield GaugeMetricFamily("doorman_workers", "Workers that live.", len(processes))
        memory = GaugeMetricFamily(
            "doorman_worker_resident_bytes", "Resident memory of each worker, on Linux.", labels=["worker"]
        )
        for worker, process in processes:
            resident = _resident_bytes(process)
            if resident is not None:
                memory.add_metric([str(worker)], resident)
        yield memory
        lost = sum(place.lost() for place in self._board.places)
        yield CounterMetricFamily("doorman_figures_lost", "Figures that found no room to be counted.", lost)

    def _numbers(self) -> dict[Metric, dict[tuple[str, ...], Numbers]]:
        """Return the numbers of each series, added up over the places. What was there only for now ends with a life."""
        found: dict[Metric, dict[tuple[str, ...], Numbers]] = {metric: {} for metric in METRICS}
        for place in self._board.places:
            is_alive = place.process() is not None
            for (metric, labels), slot in place.series():
                if isinstance(metric, Gauge) and not is_alive:
                    continue
                width = len(metric.bounds) + 2 if isinstance(metric, Histogram) else 1
                numbers = place.numbers[slot : slot + width].tolist()
                before = found[metric].get(labels, [0.0] * width)
                found[metric][labels] = [a + b for a, b in zip(before, numbers, strict=True)]
        return found


def _family(metric: Metric, found: dict[tuple[str, ...], Numbers]) -> Family:
    if isinstance(metric, Histogram):
        histogram = HistogramMetricFamily(metric.name, metric.documentation, labels=metric.labels)
        bounds = [*map(str, metric.bounds), "+Inf"]
        for labels, (*counts, total) in sorted(found.items()):
            histogram.add_metric(labels, list(zip(bounds, _running(counts), strict=True)), sum_value=total)
        return histogram
    make = GaugeMetricFamily if isinstance(metric, Gauge) else CounterMetricFamily
    family: GaugeMetricFamily | CounterMetricFamily = make(metric.name, metric.documentation, labels=metric.labels)
    # What has no labels is there from the beginning, too.
    begun: Iterable[tuple[str, ...]] = metric.begun if isinstance(metric, Counter) else ()
    found = {labels: [0.0] for labels in (begun if metric.labels else [()])} | found
    for labels, (number,) in sorted(found.items()):
        family.add_metric(labels, number)
    return family


def _running(counts: Iterable[float]) -> Iterator[float]:
    total = 0.0
    for count in counts:
        total += count
        yield total


def _resident_bytes(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
