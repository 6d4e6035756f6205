"""First logins: how near their rate comes to what the cores can do of bcrypt."""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import bcrypt

from bench import accounts
from bench.client import Answers, Group
from bench.clients import ask, percentile
from bench.contention import others, settle
from bench.machine import cores
from bench.report import Section, cell, compared, table
from bench.targets import Place, doorman

_CONNECTIONS = 16
_RAMP_SECONDS = 2.0  # until the queue has the length that it keeps
_SPARE = 3  # users for so many times the logins that are expected
_OK = 200


def measure(place: Place, rounds: int, seconds: float) -> Section:
    """Measure rounds of first logins, each between two halves of a round of plain bcrypt; ``seconds`` each."""
    hashed = accounts.hash_once(place.cost).encode()
    fresh = accounts.names("fresh")
    enough = int(hashing_limit(hashed, 1) * _SPARE * (seconds + _RAMP_SECONDS)) + _CONNECTIONS
    batches = [fresh(enough) for _ in range(rounds)]
    ratios, rows, taken = list[float](), list[list[str]](), list[float]()
    with doorman(place, "doorman_logins", [name for batch in batches for name in batch]) as served:
        for number, batch in enumerate(batches):
            with others() as watched:
                before = hashing_limit(hashed, seconds / 2)
                answers = _logins(served.port, batch, seconds)
                settle()
                limit = (before + hashing_limit(hashed, seconds / 2)) / 2
            rate = _rate(answers, seconds)
            ratios.append(rate / limit)
            taken.append(watched.share)
            latencies = [latency for status, _, latency in answers.kept if status == _OK]
            rows.append(
                [
                    f"{limit:.2f}",
                    f"{rate:.2f}",
                    f"{percentile(latencies, 0.5):.0f}",
                    f"{percentile(latencies, 0.99):.0f}",
                    cell(str(dict(answers.statuses))),
                    f"{watched.share:.0%}",
                ]
            )
            print(f"  round {number + 1}: {rate:.2f}/s of {limit:.2f}/s", flush=True)
    heads = ["bcrypt alone, checks/s", "first logins/s", "p50 ms", "p99 ms", "answers by status"]
    heads.append("cores taken by others")
    line = compared("first logins against the cores' bcrypt limit", 0.85, 0.95, ratios, unit="", digits=3)
    text = f"## First logins\n\n{_CONNECTIONS} clients of four networks, bcrypt at cost {place.cost}; median "
    return Section([line], [f"{text}{median(ratios):.3f} of the limit.\n\n" + table(heads, rows)], taken)


def _logins(port: int, names: list[str], seconds: float) -> Answers:
    addresses = [f"127.{network}.0.{host}" for host in range(1, 5) for network in range(1, 5)]
    group = Group("first", addresses, names, accounts.PASSWORD, _CONNECTIONS, repeat=False, keep=True)
    return ask(port, [group], seconds=seconds + _RAMP_SECONDS)["first"]


def _rate(answers: Answers, seconds: float) -> float:
    """Return how many logins ended well a second, without those of the ramp."""
    last = max((moment for _, moment, _ in answers.kept), default=0)
    ends = min(_RAMP_SECONDS + seconds, last)  # earlier if there were no users left
    counted = sum(status == _OK and _RAMP_SECONDS < moment <= ends for status, moment, _ in answers.kept)
    return counted / (ends - _RAMP_SECONDS) if ends > _RAMP_SECONDS else 0.0


def hashing_limit(hashed: bytes, seconds: float) -> float:
    """Return how many checks a second the cores do with nothing else to do. bcrypt lets other threads run."""

    def check(_: int) -> float:
        started, done = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds:
            assert bcrypt.checkpw(accounts.PASSWORD.encode(), hashed)
            done += 1
        return done / elapsed

    with ThreadPoolExecutor(cores()) as threads:
        return sum(threads.map(check, range(cores())))
