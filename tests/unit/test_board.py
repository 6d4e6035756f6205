"""The figures in shared memory: what outlives a worker, what ends with it, and what is read meanwhile."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import board
from api.board import Board, SharedMeter
from api.metrics import IN_PROGRESS, REFUSALS, REQUEST_TIME, REQUESTS
from api.scrape import Scrape
from models.meter import STORE_TIME

Figures = dict[tuple[str, ...], float]


def scraped(shared: Board) -> Figures:
    """Return what is told of the board, by the name of each sample and the values of its labels in their order."""
    text = Scrape(shared, {"version": "0", "store": "sqlite"}).answer("")[1].decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def kill(place: board.Place) -> None:
    """Make it as if the process that writes to the place had died."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    place.numbers[board._PROCESS] = gone.pid


@pytest.fixture
def shared() -> Board:
    return Board(2)


def test_workers_add_up(shared: Board) -> None:
    """Counters, gauges and histograms of several workers are told as one."""
    for place, times in ((0, 1), (1, 2)):
        meter = shared.meter(place)
        for _ in range(times):
            meter.count(REQUESTS, "GET", "/x", "200")
            meter.move(IN_PROGRESS, 3)
            meter.observe(STORE_TIME, 0.003, "ping")
        meter.move(IN_PROGRESS, -1)
    figures = scraped(shared)
    assert figures["doorman_http_requests_total", "GET", "/x", "200"] == 3
    assert figures[("doorman_http_requests_in_progress",)] == 7
    assert figures["doorman_store_seconds_bucket", "0.0025", "ping"] == 0
    assert figures["doorman_store_seconds_bucket", "0.005", "ping"] == 3
    assert figures["doorman_store_seconds_bucket", "+Inf", "ping"] == 3
    assert figures["doorman_store_seconds_count", "ping"] == 3
    assert figures["doorman_store_seconds_sum", "ping"] == pytest.approx(0.009)
    assert figures[("doorman_workers",)] == 2


def test_what_alerts_ask_for_is_there_before_it_happens(shared: Board) -> None:
    """Each reason that an alert names is told as 0 from the start: the first event is an increase. Others add up."""
    alerts = (Path(__file__).parents[2] / "docs" / "alerts.yml").read_text()
    named = {reason for found in re.findall(r'reason=~?"([^"]+)"', alerts) for reason in found.split("|")}
    assert "crash" in named
    assert [scraped(shared).get(("doorman_refusals_total", reason)) for reason in named] == [0.0] * len(named)
    for place in range(2):
        shared.meter(place).count(REFUSALS, "crash")
        shared.meter(place).count(REFUSALS, "access_denied")
    figures = scraped(shared)
    assert figures["doorman_refusals_total", "crash"] == figures["doorman_refusals_total", "access_denied"] == 2


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain;version=1.x",
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=",
        "text/plain;version=1.0.0;escaping=x",
        ";;,;=\xff",
    ],
)
def test_whatever_format_is_asked_for_there_is_an_answer(shared: Board, accept: str) -> None:
    """Who asks for a format that there is not, or in no way that can be read, gets one that there is."""
    content_type, text = Scrape(shared, {"version": "0", "store": "sqlite"}).answer(accept)
    assert content_type.startswith(("text/plain; version=", "application/openmetrics-text; version="))
    assert b"doorman_workers 0" in text


@pytest.mark.parametrize(("seconds", "bound"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (99.0, "+Inf")])
def test_a_bucket_holds_its_bound(shared: Board, seconds: float, bound: str) -> None:
    """A time is counted from the first bound that it does not pass, and past all of them in the last one."""
    shared.meter(0).observe(REQUEST_TIME, seconds, "/x")
    bounds = [str(one) for one in REQUEST_TIME.bounds] + ["+Inf"]
    figures = scraped(shared)
    counted = [one for one in bounds if figures["doorman_http_request_seconds_bucket", one, "/x"]]
    assert counted == bounds[bounds.index(bound) :]


def test_what_was_counted_outlives_its_worker(shared: Board) -> None:
    """When a worker dies, what it counted stays and what it had does not; who takes its place goes on from there."""
    meter = shared.meter(0)
    meter.count(REQUESTS, "GET", "/x", "200")
    meter.move(IN_PROGRESS, 5)
    meter.observe(STORE_TIME, 0.003, "ping")
    kill(shared.places[0])
    figures = scraped(shared)
    assert figures["doorman_http_requests_total", "GET", "/x", "200"] == 1
    assert figures[("doorman_http_requests_in_progress",)] == figures[("doorman_workers",)] == 0
    following = SharedMeter(shared.places[0])
    following.count(REQUESTS, "GET", "/x", "200")
    following.count(REQUESTS, "GET", "/y", "200")
    following.move(IN_PROGRESS, 1)
    following.observe(STORE_TIME, 0.003, "ping")
    figures = scraped(shared)
    assert figures["doorman_http_requests_total", "GET", "/x", "200"] == 2
    assert figures["doorman_http_requests_total", "GET", "/y", "200"] == 1
    assert figures["doorman_store_seconds_count", "ping"] == 2
    assert figures[("doorman_http_requests_in_progress",)] == figures[("doorman_workers",)] == 1
    assert figures[("doorman_worker_starts_total",)] == 2


def test_who_stops_and_who_begins_both_count(shared: Board) -> None:
    """While a worker is being replaced, it has a place that is not the new one's, and both are told."""
    stopping, beginning = shared.meter(0), shared.meter(2)
    stopping.count(REQUESTS, "GET", "/x", "200")
    beginning.count(REQUESTS, "GET", "/x", "200")
    assert [place.worker for place in shared.places] == [1, 2, 1, 2]
    assert scraped(shared)["doorman_http_requests_total", "GET", "/x", "200"] == 2


def test_no_thread_loses_a_count(shared: Board) -> None:
    """Eight threads that count the same and other things at once lose nothing."""
    meter = shared.meter(0)

    def count(thread: int) -> None:
        for number in range(2000):
            meter.count(REQUESTS, "GET", "/x", "200")
            meter.count(REQUESTS, "GET", f"/{number % 50}", str(thread % 2))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    figures = scraped(shared)
    assert figures["doorman_http_requests_total", "GET", "/x", "200"] == 16_000
    assert sum(value for (name, *_), value in figures.items() if name == "doorman_http_requests_total") == 32_000


def test_a_death_halfway_leaves_nothing_half(shared: Board) -> None:
    """A series whose line was being written when its worker died is not there, and the next one is in its place."""
    meter = shared.meter(0)
    meter.count(REQUESTS, "GET", "/x", "200")
    place = shared.places[0]
    used, text = place.numbers[board._USED], place.numbers[board._TEXT]
    place.add((STORE_TIME, ("half",)))
    place.numbers[board._USED], place.numbers[board._TEXT] = used, text  # all was written but what makes it count
    SharedMeter(place).count(REQUESTS, "GET", "/y", "200")
    figures = scraped(shared)
    assert ("doorman_store_seconds_count", "half") not in figures
    assert figures["doorman_http_requests_total", "GET", "/y", "200"] == 1


def test_a_full_board_says_so(shared: Board) -> None:
    """What finds no room is let go and counted as lost, by whom it was counted does not fail, and the rest is right."""
    meter = shared.meter(0)
    meter.count(REQUESTS, "GET", "/first", "200")
    for number in range(600):
        meter.observe(REQUEST_TIME, 0.1, f"/{number}")
    meter.count(REQUESTS, "GET", "/first", "200")
    figures = scraped(shared)
    told = sum(value for (name, *_), value in figures.items() if name == "doorman_http_request_seconds_count")
    assert 0 < told < 600
    assert figures[("doorman_figures_lost_total",)] == 600 - told
    assert figures["doorman_http_requests_total", "GET", "/first", "200"] == 2
