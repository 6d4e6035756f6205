"""Requests that hide another one from whatever stands in front: they are one request, or none."""

import re
import socket
from collections.abc import Callable

import pytest

from tests.databases import Environment
from tests.running import SOURCES, START_SECONDS, Doorman

HIDDEN = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = b"POST /login.json HTTP/1.1\r\nHost: x\r\n"
END = b"0\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# What may be read in two ways, and is not to be read in any.
AMBIGUOUS = {
    "a length, then chunks": b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + END,
    "chunks, then a length": CHUNKED + LENGTH + b"\r\n" + END,
    "two lengths": b"Content-Length: 0\r\n" + LENGTH + b"\r\n",
    "a list of lengths": LENGTH.replace(b": ", b": 0, ") + b"\r\n",
    "a length with a sign": LENGTH.replace(b": ", b": +") + b"\r\n",
    "a length in hexadecimal": LENGTH.replace(b": ", b": 0x") + b"\r\n",
    "a space before a colon": LENGTH.replace(b":", b" :") + b"\r\n",
    "a folded length": LENGTH.replace(b": ", b":\r\n ") + b"\r\n",
    "folded chunks": CHUNKED.replace(b": ", b":\r\n ") + b"\r\n" + END,
    "another coding": CHUNKED.replace(b"chunked", b"xchunked") + LENGTH + b"\r\n",
    "no coding": CHUNKED.replace(b"chunked", b"identity") + LENGTH + b"\r\n",
    "chunks, then another coding": CHUNKED.replace(b"chunked", b"chunked, identity") + b"\r\n" + END,
    "another coding, then chunks": CHUNKED.replace(b"chunked", b"identity, chunked") + b"\r\n" + END,
    "two codings": CHUNKED + CHUNKED.replace(b"chunked", b"identity") + b"\r\n" + END,
    "a vertical tab": CHUNKED.replace(b" chunked", b" \x0bchunked") + LENGTH + b"\r\n",
    "a bare LF in chunks": CHUNKED + b"\r\n0\n\n",
    "a bare LF in an extension": CHUNKED + b"\r\n2;\nxx\r\n{}\r\n" + END,
    "a size past 64 bits": CHUNKED + b"\r\n10000000000000002\r\n{}\r\n" + END,
    "a size with a prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n" + END,
    "a NUL": b"X-Any: a\0b\r\n" + LENGTH + b"\r\n",
    "a bare CR": b"X-Any: a\r" + LENGTH + b"Content-Length: 0\r\n\r\n",
    "two hosts": b"Host: y\r\nContent-Length: 0\r\n\r\n",
}
# What is a body, and is read as one, whatever is in it.
HIDING = {
    "a length": LENGTH + b"\r\n",
    "bare LFs": (LENGTH + b"\r\n").replace(b"\r\n", b"\n"),
    "a chunk": CHUNKED + b"\r\n%x\r\n" % len(HIDDEN),
    "a chunk with an extension": CHUNKED + b"\r\n%x;a=b\r\n" % len(HIDDEN),
}


def statuses(doorman: Doorman, sent: bytes) -> list[int]:
    """Return the statuses of all answers that come until the server ends the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", doorman.port), START_SECONDS, (next(SOURCES), 0)) as client:
        client.sendall(sent)
        try:
            while part := client.recv(1 << 16):
                received += part
        except ConnectionResetError:  # with bytes of ours unread
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


@pytest.fixture
def doorman(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    return serve(sqlite_environment)


def test_no_request_is_smuggled(doorman: Doorman, record_property: Callable[[str, object], None]) -> None:
    """What two servers may read in two ways is 400, and the connection ends; what is in a body is never a request."""
    for name, rest in AMBIGUOUS.items():
        assert statuses(doorman, HEAD + rest + HIDDEN) == [400], name
    for name, rest in HIDING.items():
        end = b"\r\n" + END if b"chunked" in rest else b""
        # A request of its own comes after it, and is the second one.
        assert statuses(doorman, HEAD + rest + HIDDEN + end + HIDDEN) == [400, 200], name
    record_property("shapes", len(AMBIGUOUS) + len(HIDING))
    assert "Traceback" not in doorman.log
