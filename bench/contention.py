"""Who else is busy: other programs, which spoil figures on a shared machine, and servers that were asked before."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.machine import cores
from bench.processes import children

_TICKS = os.sysconf("SC_CLK_TCK")
# In /proc/[pid]/stat behind the name: user, system, and those of the children that have ended (see proc(5)).
_TIMES = slice(11, 15)
_IDLE = (3, 4)  # in the first line of /proc/stat: idle, and waiting for disks
_COUNTED = slice(8)  # what follows are guests' times, which are counted as user's too
_SETTLE_SECONDS = 20.0
_GLANCE_SECONDS = 0.5
_QUIET = 0.1  # of a core


class Others:
    """What others took; ``share`` of the cores is known when the block has ended."""

    share = 0.0


@contextmanager
def others() -> Iterator[Others]:
    """Watch what is taken by processes that this one did not start."""
    found, started = Others(), time.perf_counter()
    busy, own = _busy(), _own(os.getpid())
    yield found
    taken = (_busy() - busy) - (_own(os.getpid()) - own)
    found.share = max(0.0, taken / (time.perf_counter() - started) / cores())


def settle() -> None:
    """Wait until the servers have done with what nobody waits for any more: a hash is not given up half-way."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    before = _own(os.getpid())
    while time.monotonic() < deadline:
        time.sleep(_GLANCE_SECONDS)
        before, earlier = _own(os.getpid()), before
        if before - earlier < _QUIET * _GLANCE_SECONDS:
            return


def _busy() -> float:
    """Return the seconds that all cores were busy, or away with other machines."""
    times = [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]][_COUNTED]
    return sum(ticks for index, ticks in enumerate(times) if index not in _IDLE) / _TICKS


def _own(process: int) -> float:
    """Return the seconds of a process, of those that it started, and of theirs."""
    with suppress(OSError):
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[_TIMES]
        return sum(map(int, times)) / _TICKS + sum(map(_own, children(process)))
    return 0.0
