"""Lists of 1,000 and of many users: how they load through the store, and what pages and streams of them cost.

``python -m bench.lists [--users 1000000] [--store sqlite|mongod ...]`` prints one table. It starts servers of one
worker on loopback, with a database of their own in a temporary directory, and a mongod from the development extra.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from api.settings import Settings
from app import open_store
from models.core import utc_now
from models.storage.changes import INSERT_BATCH
from models.user import User, new_user_id
from tests.databases import ADMIN, SECRET_KEY, Environment
from tests.mongod import Mongod, mongod_program
from tests.running import Doorman, running

FEW = 1_000
PAGES_TIMED = 50


@dataclass(frozen=True)
class Figures:
    """What was measured at one number of users. Times in seconds, memory in bytes."""

    users: int
    load: float
    first_byte: float
    stream: float
    page_at_start: float
    page_at_end: float
    peak_memory: int


def users(count: int, start: int = 0) -> Iterator[User]:
    """Make ordinary users with names of 14 characters, in no order of their names."""
    now = utc_now()
    for number in range(start, start + count):
        name = f"user{number * 7_368_787 % 10_000_000_000:010}"  # the factor is prime: no name comes twice
        yield User(
            id=new_user_id(now),
            user_name=name,
            name_key=name,
            oauth=0,
            password_hash="$2b$12$" + "." * 53,
            token_hash="$2b$12$" + "." * 53,
            token_digests=(f"{number:064x}",),
            name=None,
            email=None,
            email_key=None,
            user_group="noob",
            disabled=False,
            epoch=1,
            revision=1,
            created_at=now,
            updated_at=now,
        )


def load(environment: Environment, count: int, start: int = 0) -> float:
    """Put ``count`` users, numbered from ``start``, into a database through the store; return the seconds it took."""
    store = open_store(Settings.from_env(environment))
    store.prepare()
    started = time.perf_counter()
    batch: list[User] = []
    for user in users(count, start):
        batch.append(user)
        if len(batch) == INSERT_BATCH:
            store.insert(batch)
            batch.clear()
    store.insert(batch)
    elapsed = time.perf_counter() - started
    store.close()
    return elapsed


def measure(environment: Environment, count: int, directory: Path) -> Figures:
    loaded = load(environment, count)
    one_worker = environment | {"WORKERS": "1"}
    with running(one_worker, directory) as doorman, httpx.Client(auth=ADMIN, timeout=600) as client:
        first_byte, whole = stream(client, doorman, count)
        return Figures(
            users=count,
            load=loaded,
            first_byte=first_byte,
            stream=whole,
            page_at_start=page_time(client, doorman, ""),
            page_at_end=page_time(client, doorman, "user9"),
            peak_memory=peak_memory(doorman),
        )


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


def page_time(client: httpx.Client, doorman: Doorman, after: str) -> float:
    """Return the median time of a page of 50 names after ``after``."""
    times = []
    for _ in range(PAGES_TIMED):
        started = time.perf_counter()
        client.get(doorman.users, params={"limit": 50, "after": after}).raise_for_status()
        times.append(time.perf_counter() - started)
    return median(times)


def peak_memory(doorman: Doorman) -> int:
    """Return the most resident memory that the one worker ever had, in bytes."""
    (worker,) = doorman.workers()
    line = next(line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def report(store: str, few: Figures, many: Figures) -> None:
    for figures in (few, many):
        print(
            f"| {store} | {figures.users:,} | {figures.load:.1f} s ({figures.users / figures.load:,.0f}/s) "
            f"| {figures.first_byte * 1000:.0f} ms | {figures.stream:.2f} s "
            f"| {figures.page_at_start * 1000:.1f} / {figures.page_at_end * 1000:.1f} ms "
            f"| {figures.peak_memory / 1e6:.1f} MB |"
        )
    print(
        f"| | ratio, difference | | | | {many.page_at_start / few.page_at_start:.2f} / "
        f"{many.page_at_end / few.page_at_end:.2f} | {(many.peak_memory - few.peak_memory) / 1e6:+.1f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--store", nargs="*", choices=["sqlite", "mongod"], default=["sqlite", "mongod"])
    options = parser.parse_args()
    print(
        "| store | users | load | first byte | whole list | page of 50, at start / at end | peak memory of the worker |"
    )
    print("|---|---|---|---|---|---|---|")
    with ExitStack() as ends:
        directory = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        for store in options.store:
            common = {"BASIC_AUTH_USER": ADMIN[0], "BASIC_AUTH_PASSWORD": ADMIN[1], "SECRET_KEY": SECRET_KEY}
            common["BCRYPT_ROUNDS"] = "4"  # what is measured here is not the login
            if store == "mongod":
                mongod = Mongod(mongod_program(), directory)
                ends.callback(mongod.kill)
                mongod.start()
                common["DATABASE_URL"] = mongod.uri
            measured = []
            for count in (FEW, options.users):
                place = {"DATABASE_URL": f"sqlite:///{directory}/{count}.db"} if store == "sqlite" else {}
                measured.append(measure(common | place | {"DATABASE_NAME": f"lists{count}"}, count, directory))
            report(store, *measured)


if __name__ == "__main__":
    main()
