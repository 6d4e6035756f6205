"""Servers that are measured: started in process groups of their own, asked for their memory, and ended for certain."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

START_SECONDS = 60.0
_SAMPLE_SECONDS = 0.25
_LOG_LINES = 5
_NOT_WORKERS = ("resource_tracker", "forkserver")


class NotMeasuredError(Exception):
    """Something cannot be installed, started or measured; the message is the reason that the report gives."""


class Serving(Protocol):
    """What a load needs to know of a server."""

    port: int

    def workers(self) -> list[int]: ...


class Server:
    """One server that somebody else wrote, or that a peer's application runs under; its log goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str | Path], port: int, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.port = port
        self._name = name
        self._log = directory / f"{name}-{port}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the peers' commands are this package's own
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_listening(self) -> None:
        """Return when it takes connections. Raises ``NotMeasuredError`` with the end of its log if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        end = " / ".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise NotMeasuredError(f"{self._name} does not start: {end}")

    def workers(self) -> list[int]:
        return children(self._process.pid) or [self._process.pid]

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def started(
    name: str, command: Sequence[str | Path], port: int, directory: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    server = Server(name, command, port, directory, environment)
    try:
        server.await_listening()
        yield server
    finally:
        server.kill()


def children(process: int) -> list[int]:
    """Return the processes that ``process`` started, without the helpers of Python's multiprocessing."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found if not any(name in _command_line(child) for name in _NOT_WORKERS)]


def _command_line(process: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    return ""


@dataclass(frozen=True)
class Memory:
    """Memory of one process in bytes: resident, and its proportional share of what it shares with others."""

    rss: int
    pss: int


def memory(process: int) -> Memory:
    fields = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) * 1024
    return Memory(fields["Rss"], fields["Pss"])


@contextmanager
def watched(processes: Sequence[int]) -> Iterator[list[list[Memory]]]:
    """Sample the memory of ``processes`` while the block runs; the list fills with one list of samples a process."""
    samples: list[list[Memory]] = [[] for _ in processes]
    ended = Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            for process, found in zip(processes, samples, strict=True):
                with suppress(OSError):  # it has ended
                    found.append(memory(process))

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
