"""Lists of 1,000 and of many users: how they load through the store, and what pages and streams of them cost.

Each number of users has a database of its own, and a server of one worker on loopback. Both are up at once, so that
their pages are asked for in turn.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from bench import accounts
from bench.report import Line, Section, compared, table
from tests.databases import ADMIN, SECRET_KEY, Environment
from tests.running import Doorman, running

FEW = 1_000
PAGES_TIMED = 50
STORES = ("sqlite", "mongod")
_PLACES = ("", "user9")  # at the start of the list, and near its end


@dataclass(frozen=True)
class Figures:
    """What was measured at one number of users. Times in seconds, memory in bytes.

    ``pages`` has a list of rounds for each place in the list: the median time of a page.
    """

    users: int
    load: float
    first_byte: float
    stream: float
    pages: Sequence[Sequence[float]]
    peak_memory: int


def measure(mongodb: str, directory: Path, many: int, rounds: int) -> Section:
    section, rows = Section(), []
    common = {"BASIC_AUTH_USER": ADMIN[0], "BASIC_AUTH_PASSWORD": ADMIN[1], "SECRET_KEY": SECRET_KEY}
    common |= {"WORKERS": "1", "BCRYPT_ROUNDS": "4"}  # what is measured here is not the login
    for store in STORES:
        environments = {
            count: common
            | {"DATABASE_URL": mongodb if store == "mongod" else f"sqlite:///{directory}/lists{count}.db"}
            | {"DATABASE_NAME": f"lists{count}"}
            for count in (FEW, many)
        }
        few_figures, many_figures = _side_by_side(environments, directory, rounds)
        section.lines += _lines(store, few_figures, many_figures)
        for figures in (few_figures, many_figures):
            rows.append(_row(store, figures))
            print(f"  {', '.join(rows[-1])}", flush=True)
    heads = ["store", "users", "load", "first byte", "whole list", "page of 50, at start / at end", "peak memory"]
    section.text.append("## Lists\n\n" + table(heads, rows))
    return section


def names(count: int, start: int = 0) -> Iterator[str]:
    """Make names of 14 characters, in no order, numbered from ``start``."""
    for number in range(start, start + count):
        yield f"user{number * 7_368_787 % 10_000_000_000:010}"  # the factor is prime: no name comes twice


def load(environment: Environment, count: int, start: int = 0) -> float:
    """Put ``count`` users, numbered from ``start``, into a database through the store; return the seconds it took."""
    started = time.perf_counter()
    accounts.insert(environment, accounts.users(names(count, start), first=start))
    return time.perf_counter() - started


def stream(client: httpx.Client, doorman: Doorman, count: int) -> tuple[float, float]:
    """Read the whole list; return the seconds to its first byte and to its end. Fails if it is too short."""
    started = time.perf_counter()
    with client.stream("GET", doorman.users) as answer:
        answer.raise_for_status()
        chunks = answer.iter_raw()
        received = len(next(chunks))
        first_byte = time.perf_counter() - started
        received += sum(len(chunk) for chunk in chunks)
    assert received > count * len('"user0000000000",')
    return first_byte, time.perf_counter() - started


def page_times(client: httpx.Client, doormen: Sequence[Doorman], after: str) -> list[float]:
    """Return for each server the median time of a page of 50 names after ``after``; they are asked in turn."""
    times: list[list[float]] = [[] for _ in doormen]
    for _ in range(PAGES_TIMED):
        for doorman, found in zip(doormen, times, strict=True):
            started = time.perf_counter()
            client.get(doorman.users, params={"limit": 50, "after": after}).raise_for_status()
            found.append(time.perf_counter() - started)
    return [median(found) for found in times]


def peak_memory(doorman: Doorman) -> int:
    """Return the most resident memory that the one worker ever had, in bytes."""
    (worker,) = doorman.workers()
    line = next(line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _side_by_side(environments: dict[int, Environment], directory: Path, rounds: int) -> list[Figures]:
    loads = [load(environment, count) for count, environment in environments.items()]
    with ExitStack() as ends:
        doormen = [ends.enter_context(running(environment, directory)) for environment in environments.values()]
        client = ends.enter_context(httpx.Client(auth=ADMIN, timeout=600))
        streams = [stream(client, doorman, count) for doorman, count in zip(doormen, environments, strict=True)]
        pages = [[page_times(client, doormen, after) for _ in range(rounds)] for after in _PLACES]
        return [
            Figures(
                users=count,
                load=loads[index],
                first_byte=streams[index][0],
                stream=streams[index][1],
                pages=[[times[index] for times in place] for place in pages],
                peak_memory=peak_memory(doormen[index]),
            )
            for index, count in enumerate(environments)
        ]


def _lines(store: str, few: Figures, many: Figures) -> Sequence[Line]:
    ratios = [
        [long / short for long, short in zip(*places, strict=True)]
        for places in zip(many.pages, few.pages, strict=True)
    ]
    above = (many.peak_memory - few.peak_memory) / 1e6
    title = f"at {many.users:,} users against {few.users:,}, {store}"
    return [
        compared(f"one page of the list {title}", 2, 1.2, max(ratios, key=median), at_most=True),
        compared(f"memory for the whole list {title}", 25, 10, [above], unit=" MB", digits=1, at_most=True),
    ]


def _row(store: str, figures: Figures) -> list[str]:
    return [
        store,
        f"{figures.users:,}",
        f"{figures.load:.1f} s ({figures.users / figures.load:,.0f}/s)",
        f"{figures.first_byte * 1000:.0f} ms",
        f"{figures.stream:.2f} s",
        " / ".join(f"{median(rounds) * 1000:.1f}" for rounds in figures.pages) + " ms",
        f"{figures.peak_memory / 1e6:.1f} MB",
    ]
