"""Starting the client of ``bench.client``, in a process of its own, and reading what it was answered."""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from bench.client import Answers, Group
from bench.processes import NotMeasuredError

_GRACE_SECONDS = 60.0


class Clients:
    """Clients at work."""

    def __init__(self, port: int, groups: Sequence[Group], seconds: float) -> None:
        self._limit = seconds + _GRACE_SECONDS
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        plan = {"port": port, "seconds": seconds, "groups": [asdict(group) for group in groups]}
        assert self._process.stdin is not None
        with self._process.stdin as plans:
            json.dump(plan, plans)
        self._process.stdin = None

    def answers(self) -> dict[str, Answers]:
        """Wait for the end of the plan, and return what each group was answered."""
        output, _ = self._process.communicate(timeout=self._limit)
        if self._process.returncode:
            raise NotMeasuredError("the client failed; its trace stands above")
        return {label: _read(found) for label, found in json.loads(output).items()}

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def clients(port: int, groups: Sequence[Group], *, seconds: float) -> Iterator[Clients]:
    """Let ``groups`` work for at most ``seconds``, while the block runs."""
    working = Clients(port, groups, seconds)
    try:
        yield working
    finally:
        working.kill()


def ask(port: int, groups: Sequence[Group], *, seconds: float) -> dict[str, Answers]:
    with clients(port, groups, seconds=seconds) as working:
        return working.answers()


def percentile(latencies: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of ``latencies`` do not exceed; NaN of none."""
    if not latencies:
        return math.nan
    return sorted(latencies)[max(0, math.ceil(share * len(latencies)) - 1)]


def _read(found: dict[str, object]) -> Answers:
    answers = Answers(**found)  # type: ignore[arg-type]  # what asdict made of one
    answers.statuses = Counter({int(status): number for status, number in answers.statuses.items()})
    return answers
