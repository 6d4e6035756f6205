"""Rates and latencies, measured by wrk: the least that a load generator takes from the cores that it shares."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import NotMeasuredError

_SCRIPT = Path(__file__).with_name("wrk.lua")
_GRACE_SECONDS = 60.0
_ANSWER_SECONDS = 30
_THREADS = 2


@dataclass(frozen=True)
class Request:
    """One GET: its path, and its headers."""

    path: str
    headers: dict[str, str]

    def line(self) -> str:
        return "\t".join([self.path, *(f"{name}: {value}" for name, value in self.headers.items())])


@dataclass(frozen=True)
class Load:
    """What one run of wrk measured. Times in milliseconds. ``invalid`` says why the figures mean nothing, if so.

    ``others`` is the share of the cores that other programs took meanwhile, where that was watched.
    """

    rate: float
    p50: float
    p99: float
    invalid: str | None
    others: float = 0.0


def find_wrk() -> str:
    """Return the path of wrk; install it where that is a matter of one command. Raises ``NotMeasuredError``."""
    if found := shutil.which("wrk"):
        return found
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        install = [apt, "install", "--yes", "--no-install-recommends", "wrk"]
        for command in ([apt, "update"], install):
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - Debian's own
        if found := shutil.which("wrk"):
            return found
    raise NotMeasuredError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")


def load(port: int, requests: Sequence[Request], *, seconds: float, connections: int = 16) -> Load:
    """Send ``requests`` in turn, over and over, each connection as fast as it is answered."""
    with tempfile.TemporaryDirectory() as directory:
        lines = Path(directory) / "requests"
        lines.write_text("".join(f"{request.line()}\n" for request in requests))
        command = [find_wrk(), "--latency", "-d", f"{max(1, round(seconds))}s", "-c", str(connections)]
        command += ["-t", str(min(_THREADS, connections)), "--timeout", f"{_ANSWER_SECONDS}s", "-s", str(_SCRIPT)]
        command += [f"http://127.0.0.1:{port}/", "--", str(lines)]
        try:
            ended = subprocess.run(  # noqa: S603 - a fixed command
                command, check=False, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS
            )
        except subprocess.TimeoutExpired:
            return Load(0, math.nan, math.nan, "wrk did not end")
    if ended.returncode:
        return Load(0, math.nan, math.nan, f"wrk failed: {(ended.stderr or ended.stdout).strip()}")
    found = json.loads(ended.stdout.splitlines()[-1])
    invalid = None
    if found["refused"] or found["broken"]:
        invalid = f"{found['refused']} answers of 400 or more and {found['broken']} broken ones of {found['requests']}"
    elif not found["requests"]:
        invalid = "no answer at all"
    rate = found["requests"] / found["microseconds"] * 1e6
    return Load(rate, found["p50"] / 1000, found["p99"] / 1000, invalid)
