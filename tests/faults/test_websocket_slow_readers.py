"""Clients that send over a WebSocket and read nothing: they cost a bounded memory, and their connection in the end."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from api.wires import WebSocketLimits
from tests.api.small_app import until
from tests.databases import Environment
from tests.raw_websocket import PING, TEXT, frame
from tests.running import SOURCES, Doorman
from tests.websocket_clients import Talk
from tests.workers import on_linux, resident_bytes, sockets

pytestmark = on_linux

READERS = 10
# What is answered at length, and what the server answers by itself.
REQUESTS = frame(TEXT, json.dumps({"action": "x" * 60_000}).encode())
PINGS = frame(PING, b"x" * 125) * 500
# What a connection may send before it is held back, beside what the kernel takes for the server.
SENT_BYTES = 8 * 1024 * 1024
# What a connection may cost the server.
RESIDENT_BYTES = 2 * 1024 * 1024
# Beyond the time in which an answer has to be taken.
SPARE_SECONDS = 15.0
PROMPT_SECONDS = 5.0  # other tests run beside it
PAUSE = 0.1


class Flood:
    """A connection that sends as much as it can, and reads nothing."""

    def __init__(self, port: int, frames: bytes) -> None:
        self.sent = 0
        self._frames = frames
        self._rest = memoryview(frames)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.bind((next(SOURCES), 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(
            b"GET /users/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert self.socket.recv(1024).startswith(b"HTTP/1.1 101 ")
        self.socket.settimeout(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def has_ended(self) -> bool:
        """Send what can be sent, and tell whether the server has dropped the connection."""
        try:
            for _ in range(64):  # others have their turn
                sent = self.socket.send(self._rest)
                self.sent += sent
                self._rest = self._rest[sent:] or memoryview(self._frames)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False


def kernels_bytes() -> int:
    """Return how much the kernel takes for a connection that is not read."""
    return int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])


def test_who_reads_nothing_is_held_back_and_dropped(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], talk: Talk
) -> None:
    """Those that flood and read nothing are read no further, cost little, and are dropped; others are answered."""
    doorman = serve(sqlite_environment)
    (worker,) = doorman.workers()
    other = talk(doorman.url)
    assert other.is_there()
    resident_before, sockets_before = resident_bytes(worker), sockets(worker)
    with ExitStack() as ends:
        floods = [ends.enter_context(Flood(doorman.port, frames)) for frames in (REQUESTS, PINGS) * (READERS // 2)]
        deadline = time.monotonic() + WebSocketLimits().send_seconds + SPARE_SECONDS
        while floods := [flood for flood in floods if not flood.has_ended()]:
            asked = time.monotonic()
            assert other.is_there()
            assert time.monotonic() - asked < PROMPT_SECONDS
            assert asked < deadline, "some were not dropped"
            assert max(flood.sent for flood in floods) < SENT_BYTES + kernels_bytes()
            assert resident_bytes(worker) - resident_before < READERS * RESIDENT_BYTES
            time.sleep(PAUSE)
        until(lambda: sockets(worker) <= sockets_before, "the connections to be closed")
    assert other.is_there()
    assert doorman.workers() == [worker]
    assert "Traceback" not in doorman.log
