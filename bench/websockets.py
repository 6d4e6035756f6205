"""Idle WebSockets: what 10,000 of them cost one process, what a ``ping`` takes beside them, and logins at once on some.

The crowd and the one who observes are processes of their own. Each connection of the crowd has asked for ``ping``
once when memory is read, and does so again at the end, which shows that it was held.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench import accounts
from bench.clients import percentile
from bench.commanded import Commanded, commanded
from bench.contention import others
from bench.crowd import ADDRESSES, LoggedIn, Swept, user_of
from bench.logins import hashing_limit
from bench.observer import PAUSE, Observed
from bench.processes import Memory, NotMeasuredError, memory
from bench.report import Check, Line, Section, cell, table
from bench.targets import Place, doorman
from tests.running import Doorman

FLOOR, TARGET = 5_000, 10_000  # connections
LOGINS = 1_000
_SETTING = 12_000
# Beside the connections: those to the database, logs, listeners, and what else a process has open.
_SPARE_DESCRIPTORS = 512
_OBSERVER = "observer"
_CALM_SECONDS = 2.0  # before a quiet time, and before memory is read
_LIMIT_SECONDS = 2.0
_SWEEP_SECONDS = 60.0
_LOGINS_SECONDS = 75.0  # twice as long as the cores need for them at the cost here
# What Doorman does not warn of, at least: so that all logins get their turn in a time that a benchmark has. At 12, the
# default, each takes four times as long.
_COST = 10
_TITLE = "idle WebSocket connections held by one process"


@dataclass(frozen=True)
class _Stage:
    """A time of the run, by the monotonic clock: what went on, with how many connections, and the memory at its end."""

    title: str
    connections: int
    began: float
    ended: float
    memory: Memory

    def each(self, before: "_Stage") -> list[float]:
        """Return what a connection costs of the resident and of the proportional memory, in kB."""
        sizes = (self.memory.rss - before.memory.rss, self.memory.pss - before.memory.pss)
        return [size / 1000 / max(1, self.connections) for size in sizes]


class _Run:
    """Goes through the stages, and keeps what was found."""

    def __init__(self, served: Doorman, crowd: Commanded, seconds: float) -> None:
        self._served = served
        self._crowd = crowd
        self._seconds = seconds
        self.stages: list[_Stage] = []
        self.opened: list[Swept] = []
        self.logged_in = LoggedIn()
        self.asked_again = Swept()

    def carry_out(self) -> None:
        self._be_idle(2)
        for more, times in ((FLOOR, 1), (TARGET - FLOOR, 2)):
            began = time.monotonic()
            self.opened.append(Swept(**self._crowd.do("open", more, _SWEEP_SECONDS)))
            self._note("opening", began)
            self._be_idle(times)
        began = time.monotonic()
        self.logged_in = LoggedIn(**self._crowd.do("log_in", LOGINS, _LOGINS_SECONDS))
        self._note(f"{LOGINS:,} logging in", began)
        self.asked_again = Swept(**self._crowd.do("ask", 0, _SWEEP_SECONDS))

    def _be_idle(self, times: int) -> None:
        time.sleep(_CALM_SECONDS)
        began = time.monotonic()
        time.sleep(times * self._seconds)
        self._note("idle", began)

    def _note(self, title: str, began: float) -> None:
        workers = self._served.workers()
        if len(workers) != 1:
            raise NotMeasuredError("the worker has ended")
        count = sum(opened.answered for opened in self.opened)
        self.stages.append(_Stage(title, count, began, time.monotonic(), memory(workers[0])))
        print(f"  {count:,} connections, {title}: {self.stages[-1].memory.rss / 1e6:.0f} MB", flush=True)

    def idle(self) -> list[_Stage]:
        return [stage for stage in self.stages if stage.title == "idle"]


def measure(place: Place, seconds: float) -> Section:
    """Hold the connections, once; the times at which nothing else happens take ``seconds``, or twice as long."""
    needed = _SETTING + _SPARE_DESCRIPTORS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        return Section([Line(_TITLE, reason=f"a process may have {hard} descriptors here; this takes {needed}")])
    users = [_OBSERVER, *map(user_of, range(LOGINS))]
    place = replace(place, cost=min(place.cost, _COST))
    limit = hashing_limit(accounts.hash_once(place.cost).encode(), _LIMIT_SECONDS)
    with (
        doorman(place, "doorman_websockets", users, WORKERS="1", WEBSOCKETS=str(_SETTING)) as served,
        commanded("bench.observer", str(served.port), _OBSERVER) as observer,
        commanded("bench.crowd", str(served.port)) as crowd,
        others() as watched,
    ):
        run = _Run(served, crowd, seconds)
        run.carry_out()
        observed = Observed(**observer.finish())
    text = [
        "## Idle WebSockets\n",
        f"One worker, `WEBSOCKETS={_SETTING}`. The connections come from {len(ADDRESSES)} addresses, each of a /16 of",
        "its own, and have asked for one `ping` each. Another client asks for `ping`, and over HTTP for itself,",
        f"{1 / PAUSE:.0f} times a second each and one at a time; while it cannot ask, that counts as waiting.\n",
        _stages_table(run, observed),
        f"{LOGINS:,} logins at once on as many of the connections, each correct and of another user. bcrypt at cost",
        f"{place.cost}, of which the cores alone do {limit:.1f} a second. Who is refused comes again as soon as",
        "`retry_after` says.\n",
        _logins_table(run.logged_in),
        f"At the end {run.asked_again.answered:,} connections were answered another `ping`, within",
        f"{run.asked_again.seconds:.1f} s{_failures(run)}. Other programs took {watched.share:.0%} of the cores.\n",
    ]
    return Section([_line(run)], ["\n".join(text)], [watched.share])


def _line(run: _Run) -> Line:
    none, some, all_of_them = run.idle()
    floor, target = (
        [
            Check(number, [run.asked_again.answered], "", 0, "held"),
            Check(bound, [max(stage.each(none))], f" kB each of {number:,}", 1, at_most=True),
        ]
        for number, bound, stage in ((FLOOR, 80, some), (TARGET, 30, all_of_them))
    )
    return Line(_TITLE, floor, target)


def _stages_table(run: _Run, observed: Observed) -> str:
    none, rows = run.stages[0], []
    opened = iter(run.opened)
    for stage in run.stages:
        each = " / ".join(f"{size:.1f}" for size in stage.each(none)) if stage.connections else ""
        what = f"opening, {next(opened).seconds:.1f} s" if stage.title == "opening" else stage.title
        sizes = [f"{size / 1e6:.0f}" for size in (stage.memory.rss, stage.memory.pss)]
        times = [_times(found, stage) for found in (observed.pings, observed.reads)]
        rows.append([f"{stage.connections:,}", what, *sizes, each, *times])
    heads = ["connections", "", "MB RSS", "MB PSS", "kB each, RSS / PSS"]
    return table([*heads, *(f"{asked} ms, p50 / p99 / most" for asked in ("`ping`", "`GET`"))], rows)


def _times(found: Sequence[tuple[float, float]], stage: _Stage) -> str:
    times = [latency for due, latency in found if stage.began <= due < stage.ended]
    return " / ".join(f"{percentile(times, share):.1f}" for share in (0.5, 0.99, 1))


def _logins_table(found: LoggedIn) -> str:
    first = sum(tries == 1 for tries in found.tries)
    moments = [f"{percentile(found.seconds, share):.1f}" for share in (0.5, 0.99, 1)]
    tries = [f"{percentile(found.tries, share):.0f}" for share in (0.5, 1)]
    refusals = "; ".join(f"{number:,} {cell(text)}" for text, number in sorted(found.refusals.items())) or "none"
    row = [f"{len(found.seconds):,}", f"{first:,}", " / ".join(moments), " / ".join(tries)]
    heads = ["let in", "at the first try", "s until then, p50 / p99 / last", "tries, p50 / most"]
    return table([*heads, "slowest answer s", "refused"], [[*row, f"{found.slowest:.1f}", refusals]])


def _failures(run: _Run) -> str:
    failed = [
        f"{number:,} {cell(why)}" for swept in (*run.opened, run.asked_again) for why, number in swept.failures.items()
    ]
    return f"; failed: {', '.join(failed)}" if failed else ""
