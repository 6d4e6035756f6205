"""What the figures were measured on, and with which versions."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.installed import versions

_PACKAGES = ("bcrypt", "flask", "granian", "pymongo")
_ROOT = Path(__file__).parent.parent


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def description(mongod: Path) -> str:
    """Return the lines of a Markdown list."""
    return "\n".join([f"- Machine: {_machine()}", f"- {_programs()}", f"- mongod {_mongod(mongod)}"])


def description_with_peers(mongod: Path) -> str:
    """Return the same, with what only the benchmark uses."""
    peers = dict(sorted(versions().items()))
    load = _first(r"^wrk (\S+)", _output(["wrk", "--version"]))
    named = ", ".join(f"{name} {number}" for name, number in peers.items()) or "none installed"
    return f"{description(mongod)}, wrk {load}\n- Peers: {named}"


def _machine() -> str:
    memory = _first(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    model = _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) or platform.machine()
    shared = "the database, the load and the servers share it"
    return f"{cores()} cores, {model}, {int(memory or 0) / 1024**2:.0f} GiB, Linux {platform.release()}; {shared}."


def _programs() -> str:
    own = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Doorman {version('doorman')}, {_commit()}, Python {platform.python_version()}, {own}"


def _mongod(program: Path) -> str | None:
    return _first(r"db version v(.*)", _output([str(program), "--version"]))


def load_average() -> float:
    """Return the load of the last minute: what else the machine was busy with, when read before a run."""
    return os.getloadavg()[0]


def _commit() -> str:
    described = _output(["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]).strip()
    return f"commit {described}" if re.fullmatch(r"\S+", described) else "of no commit"


def _output(command: Sequence[str]) -> str:
    try:
        ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed commands
    except OSError:
        return ""
    return ended.stdout + ended.stderr


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""
