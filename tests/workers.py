"""The workers of a server, as Linux tells of them: which one a connection has led to, and what each of them holds."""

import resource
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from socket import inet_aton

import pytest

from tests.api.conftest import authorization
from tests.running import SOURCES, START_SECONDS, Doorman

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which worker has accepted a connection")

Credential = tuple[str, str] | str

_MOST_TRIES = 64
_ESTABLISHED, _CLOSE_WAIT = "01", "08"  # as /proc/net/tcp has them


class Line:
    """One connection that is kept open, from an address that no other one comes from."""

    def __init__(self, port: int, source: str | None = None) -> None:
        self.source = source or next(SOURCES)
        self._connection = HTTPConnection("127.0.0.1", port, START_SECONDS, source_address=(self.source, 0))
        self._port = port

    def ask(self, method: str, path: str, auth: Credential | None = None, body: str | None = None) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of its answer."""
        headers = {"Authorization": authorization(auth)} if auth is not None else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def get(self, user_name: str, auth: Credential) -> int:
        return self.ask("GET", f"/api/v2/users/{user_name}", auth)[0]

    def inode(self) -> str:
        """Return the inode of the server's end, once it has answered something.

        The kernel's table is not read in one step: a line may be there twice, or with 0 once its connection has ended.
        """
        host, port = self._connection.sock.getsockname()
        ends = f"{_hexadecimal('127.0.0.1', self._port)} {_hexadecimal(host, port)} "
        lines = Path("/proc/net/tcp").read_text().splitlines()
        (inode,) = {line.split()[9] for line in lines if ends in line} - {"0"}
        return inode

    def close(self) -> None:
        self._connection.close()


def lines_to_workers(doorman: Doorman) -> Mapping[int, Line]:
    """Return a connection to each worker of the server, by the worker's process id."""
    wanted = set(doorman.workers())
    found: dict[int, Line] = {}
    for _ in range(_MOST_TRIES):
        line = Line(doorman.port)
        line.ask("GET", "/healthz/live")
        worker = _holder(line.inode(), wanted)
        if worker in found:
            line.close()
            continue
        found[worker] = line
        if found.keys() == wanted:
            return found
    raise AssertionError(f"{_MOST_TRIES} connections led to {found.keys()} of {wanted} alone")


def resident_bytes(worker: int) -> int:
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * resource.getpagesize()


def opened(worker: int) -> list[str]:
    """Return what the descriptors of a process stand for."""
    names = []
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            names.append(str(descriptor.readlink()))
    return names


def sockets(worker: int) -> int:
    return sum(name.startswith("socket:") for name in opened(worker))


def connections(port: int) -> int:
    """Return how many connections to a port of this machine its server has not closed."""
    ends = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(end[1].endswith(f":{port:04X}") and end[3] in {_ESTABLISHED, _CLOSE_WAIT} for end in ends)


def _holder(inode: str, workers: Iterable[int]) -> int:
    for worker in workers:
        if f"socket:[{inode}]" in opened(worker):
            return worker
    raise AssertionError("no worker has the connection")


def _hexadecimal(host: str, port: int) -> str:
    """Write an address as /proc/net/tcp does."""
    return f"{int.from_bytes(inet_aton(host), sys.byteorder):08X}:{port:04X}"
