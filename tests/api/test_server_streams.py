"""Streamed answers, on Granian and uvicorn: no faster than they are read, and never whole when they are not."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.small_app import CHUNK, until
from tests.api.small_servers import Running, read_to_end, running

# What the kernel's buffers, the server's queue and the adapter may hold of a gigabyte for a client that reads nothing.
HELD_BYTES = 16 * 1024 * 1024


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def service(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    limits = json.dumps({"piece_seconds": 1})
    with running(tmp_path_factory.mktemp("streams"), request.param, options={"threads": 2}, LIMITS=limits) as service:
        yield service


def test_a_stream_that_fails_is_broken_off(service: Running) -> None:
    """A generator that raises after its first chunk leaves the client with an incomplete body, never a clean end."""
    with httpx.stream("GET", f"{service.url}/breaks?secret-query") as response:
        chunks = response.iter_raw()
        assert next(chunks) == b"first"
        service.notes.leave("break-now")
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    until(lambda: "a response broke off: GET /breaks: RuntimeError" in service.log, "the log line")
    assert "secret-query" not in service.log
    assert "words-of-an-exception" not in service.log


def test_an_unread_stream_waits_and_then_ends(service: Running) -> None:
    """A client that reads nothing holds the generator after a few chunks, and after a second loses its connection."""
    with service.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /endless/unread HTTP/1.1\r\nHost: x\r\n\r\n")
        produced = int(service.notes.wait_for("ended-unread"))
        assert produced * len(CHUNK) < HELD_BYTES
        received = read_to_end(client)
    assert not received.endswith(b"\r\n0\r\n\r\n")


def test_a_client_that_leaves_ends_its_stream(service: Running) -> None:
    """The generator is closed when the client leaves in the middle."""
    with service.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /endless/left HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    assert int(service.notes.wait_for("ended-left")) * len(CHUNK) < HELD_BYTES


def test_a_slow_reader_gets_every_byte(service: Running) -> None:
    """A client with a small buffer that reads on gets the stream in order and unharmed."""
    with service.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /endless/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, begun = client.recv(65_536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        received = len(begun)
        while received < HELD_BYTES * 2:
            part = client.recv(65_536)
            assert part, "the stream ended"
            received += len(part)
    service.notes.wait_for("ended-slow")
