"""The primary of a MongoDB replica set is lost, again and again, while clients write."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.api.small_app import until
from tests.databases import Environment
from tests.faults.audit import Audit, figures
from tests.faults.extent import extent
from tests.faults.tally import Tally
from tests.faults.writers import writing
from tests.mongod import Mongod
from tests.replica_set import DEFAULT_SECONDS, QUICK_SECONDS, ReplicaSet
from tests.running import Doorman

pytestmark = extent([], [pytest.mark.alone])  # in full each answer has its time, and the figures are of times

KILLS, STOPS = extent((1, 1), (20, 5))
SERVERS, WORKERS = extent((1, 2), (2, 1))  # two processes either way; to start one server takes less
# Seconds after the driver alone had a write acknowledged, until all servers had one: each writer pauses when refused.
MOST_BEHIND = 5.0
WRITES_BETWEEN = extent(24, 200)  # acknowledged ones, before the next fault


@dataclass
class Losses:
    """How long it took after each fault, in seconds.

    To elect; until MongoDB's driver, alone, had a write acknowledged by a majority; and until all servers did so.
    """

    elections: list[float] = field(default_factory=list)
    driver: list[float] = field(default_factory=list)
    unavailable: list[float] = field(default_factory=list)

    def figures(self) -> list[tuple[str, object]]:
        return [
            (
                f"{what}, median and longest of {len(seconds)}, s",
                f"{statistics.median(seconds):.2f}, {max(seconds):.2f}",
            )
            for what, seconds in (
                ("until another is elected", self.elections),
                ("until the driver alone can write", self.driver),
                ("until all servers acknowledge writes", self.unavailable),
            )
        ]


def lose_primary(
    members: ReplicaSet, lose: Callable[[Mongod], None], doormen: list[Doorman], tally: Tally, losses: Losses
) -> Mongod:
    """Lose the primary, wait until every server acknowledges writes again, and return the member that is lost."""
    lost = members.primary()
    begun = time.monotonic()
    lose(lost)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(members.written)
        members.elected({lost})
        losses.elections.append(time.monotonic() - begun)
        served = [tally.await_served(begun, doorman.url) for doorman in doormen]
        losses.unavailable.append(max(served) - begun)
        losses.driver.append(written.result() - begun)
    return lost


@pytest.mark.timeout(extent(120, 1800))
@pytest.mark.parametrize("election_seconds", extent([QUICK_SECONDS], [QUICK_SECONDS, DEFAULT_SECONDS]))
def test_no_election_loses_what_was_acknowledged(
    replica_set: Callable[[float], ReplicaSet],
    serve: Callable[[Environment], Doorman],
    record_property: Callable[[str, object], None],
    sqlite_environment: Environment,
    election_seconds: float,
) -> None:
    """Whatever primary is killed or cut off: acknowledged writes stay, once and whole; refused are 503, for seconds.

    With MongoDB's own 10 s until an election, requests are refused meanwhile. With 1 s, many wait and are answered,
    some by the driver's second try, which is where writes could be doubled.
    """
    members = replica_set(election_seconds)
    environment = sqlite_environment | {"DATABASE_URL": members.uri, "DATABASE_NAME": "doorman"}
    doormen = [serve(environment | {"WORKERS": str(WORKERS)}) for _ in range(SERVERS)]
    workers = [doorman.workers() for doorman in doormen]
    tally, kills, stops = Tally(), Losses(), Losses()
    with writing(doormen, tally) as writers:
        for number in range(KILLS + STOPS):
            until(members.is_whole, "the member to be back")
            tally.await_writes(WRITES_BETWEEN)
            if number % (KILLS // STOPS + 1) == KILLS // STOPS:
                lost = lose_primary(members, Mongod.pause, doormen, tally, stops)
                lost.resume()
            else:
                lost = lose_primary(members, Mongod.kill, doormen, tally, kills)
                lost.launch()
                lost.await_listening()
    Audit(environment, doormen[0], [user for writer in writers for user in writer.users], tally).run()
    for name, value in (*figures(tally), *kills.figures(), *stops.figures()):
        record_property(name, value)
    for losses in (kills, stops):
        behind = [served - driver for served, driver in zip(losses.unavailable, losses.driver, strict=True)]
        assert max(behind) < MOST_BEHIND, losses
    assert not tally.faults()
    assert not tally.broken
    assert tally.without_retry_after == 0
    assert [doorman.workers() for doorman in doormen] == workers
    assert "Traceback" not in "".join(doorman.log for doorman in doormen)
