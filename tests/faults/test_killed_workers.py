"""The server's workers are killed, again and again, in the middle of what clients write."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Collection
from random import Random

import pytest

from tests.api.small_app import until
from tests.databases import Environment
from tests.faults.audit import Audit, figures
from tests.faults.extent import extent
from tests.faults.tally import Tally
from tests.faults.writers import CLIENTS, writing
from tests.running import Doorman
from tests.workers import lines_to_workers, on_linux

pytestmark = on_linux

WORKERS = 2
KILLS = extent(3, 50)
WRITES_BETWEEN = extent(3 * CLIENTS, 10 * CLIENTS)  # acknowledged ones
ALL_AT_ONCE = 5  # one time in so many
RESTART_SECONDS = 10.0


def replaced(doorman: Doorman, killed: Collection[int]) -> float:
    """Return when as many workers serve as should, and none of those that were killed is among them."""
    until(lambda: len(set(doorman.workers()).difference(killed)) == WORKERS, "the new worker")
    until(lambda: all_answer(doorman), "its answer")
    return time.monotonic()


def all_answer(doorman: Doorman) -> bool:
    try:
        lines = lines_to_workers(doorman).values()
    except OSError:
        return False  # none of them listens yet
    for line in lines:
        line.close()
    return True


@pytest.mark.timeout(extent(120, 1800))
def test_no_killed_worker_loses_what_was_acknowledged(
    environment: Environment,
    serve: Callable[[Environment], Doorman],
    record_property: Callable[[str, object], None],
) -> None:
    """Whenever a worker is killed, or all at once: acknowledged writes stay, once and whole; others take its place."""
    doorman = serve(environment | {"WORKERS": str(WORKERS)})
    random, tally, restarts = Random(0), Tally(), list[float]()  # noqa: S311 - it guards nothing
    with writing([doorman], tally) as writers:
        for number in range(KILLS):
            tally.await_writes(WRITES_BETWEEN)
            time.sleep(random.uniform(0, 0.02))  # they answer in step, after a restart
            workers = doorman.workers()
            killed = workers if number % ALL_AT_ONCE == ALL_AT_ONCE - 1 else [random.choice(workers)]
            begun = time.monotonic()
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
            restarts.append(replaced(doorman, killed) - begun)
    Audit(environment, doorman, [user for writer in writers for user in writer.users], tally).run()
    for name, value in figures(tally):
        record_property(name, value)
    record_property("restart, median and longest, s", f"{statistics.median(restarts):.2f}, {max(restarts):.2f}")
    assert not tally.faults()
    assert tally.without_retry_after == 0
    assert max(restarts) < RESTART_SECONDS
    assert doorman.process.poll() is None
    assert "Traceback" not in doorman.log
