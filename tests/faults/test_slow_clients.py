"""Clients that send, read or wait slowly, in numbers: the others must not feel them."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from api.limits import Limits
from api.serving import HEADER_SECONDS, STALL_SECONDS, STOP_SECONDS
from tests.api.small_app import until
from tests.api.small_servers import Running, read_to_end, running
from tests.running import PLAIN

pytestmark = pytest.mark.alone

# Generous, since other work may share the machine: without protection these requests would never be answered.
BOUND_SECONDS = 2.0
# What a stream that no one reads may cost: four pieces in the server's queue, its buffer, a chunk of the generator.
READER_BYTES = 384 * 1024


@contextmanager
def crowd(service: Running, number: int, request: bytes, **options: int) -> Iterator[list[socket.socket]]:
    """Hold ``number`` connections open, on each of which ``request`` was sent."""
    with ExitStack() as stack:
        clients = [stack.enter_context(service.connect(**options)) for _ in range(number)]
        for client in clients:
            client.sendall(request)
        yield clients


def assert_served(service: Running) -> None:
    """Hold that twenty requests, each on a connection of its own, are answered within the bound."""
    for _ in range(20):
        begun = time.monotonic()
        assert httpx.get(f"{service.url}/hello", verify=PLAIN, timeout=BOUND_SECONDS).text == "hello"
        assert time.monotonic() - begun < BOUND_SECONDS


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = json.dumps({"body_seconds": 2, "piece_seconds": 3})
    options = {"header_seconds": 1.0, "threads": 2}
    with running(tmp_path_factory.mktemp("slow"), LIMITS=limits, options=options) as service:
        yield service


def test_half_sent_bodies_hold_no_one_up(service: Running) -> None:
    """While 200 clients have sent half a body, others are answered; the 200 get 408 in the end."""
    with crowd(service, 200, b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") as clients:
        assert_served(service)
        assert all(read_to_end(client).startswith(b"HTTP/1.1 408") for client in clients)


def test_slow_readers_hold_no_one_up(service: Running) -> None:
    """While 200 clients do not read their streams, others are answered; then the 200 are cut off unread."""
    memory, sockets = service.resident_bytes(), service.sockets()
    names = [f"slow-{number}" for number in range(200)]
    with ExitStack() as stack:
        for name in names:
            client = stack.enter_context(service.connect(receive_buffer=4096))
            client.sendall(b"GET /endless/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
        for name in names:
            service.notes.wait_for(f"produced-{name}")
        assert_served(service)
        assert service.resident_bytes() - memory < len(names) * READER_BYTES
        for name in names:
            service.notes.wait_for(f"ended-{name}")
        until(lambda: service.sockets() < sockets + 10, "the connections to be closed")
        assert_served(service)


def test_slow_headers_are_cut_off(service: Running) -> None:
    """While 200 clients have sent half of their headers, others are answered; the 200 are closed in time."""
    with crowd(service, 200, b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Half") as clients:
        assert_served(service)
        for client in clients:
            assert b"200 OK" not in read_to_end(client)


def test_idle_connections_hold_no_one_up(service: Running) -> None:
    """While 1,000 connections are idle, others are answered; an idle one is closed in time."""
    with ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(1000)]
        assert_served(service)
        assert read_to_end(clients[0]) == b""
    with service.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_to_end(client).endswith(b"hello")


# Far more pages than the buffers between the two take, and each too short to be sent in pieces with a deadline.
PIPELINE = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 1000


def test_pipeliners_that_read_nothing_are_dropped(tmp_path: Path) -> None:
    """Clients that ask for page after page and read none hold no one up, and lose their connections in time."""
    with running(tmp_path, options={"stall_seconds": 2}) as service:
        sockets = service.sockets()
        with crowd(service, 20, PIPELINE, receive_buffer=4096) as clients:
            assert_served(service)
            until(lambda: service.sockets() <= sockets, "the connections to be closed")
            assert all(len(read_to_end(client)) < 60_000 * 1000 for client in clients)
        assert_served(service)


def test_pipeliners_that_read_nothing_do_not_keep_a_stop(tmp_path: Path) -> None:
    """A stop with such clients ends in order, with everything closed, when their time is up."""
    with (
        running(tmp_path, options={"stall_seconds": 2}) as service,
        crowd(service, 20, PIPELINE, receive_buffer=4096),
    ):
        answered = 0
        # That nothing happens any more is no event: no page in a while means that every connection is stuck in one.
        while answered != (answered := service.log.count("GET /page 200 ")) or not answered:
            time.sleep(0.2)
        assert service.stop() == 0
        assert service.notes.read("closed") is not None
        assert "Killing" not in service.log


def test_clients_have_less_time_than_a_stop() -> None:
    """What a client may take, for its headers or for what it is sent, is less than what a stop waits for."""
    assert max(HEADER_SECONDS, STALL_SECONDS, Limits().piece_seconds) < STOP_SECONDS


def test_a_full_queue_is_refused(tmp_path: Path) -> None:
    """With every thread taken, requests wait up to a number and a time, and get 503 with Retry-After beyond both."""
    limits = json.dumps({"queue_length": 2, "queue_seconds": 1})
    with (
        running(tmp_path, LIMITS=limits, options={"threads": 1}) as service,
        crowd(service, 1, b"GET /held/first HTTP/1.1\r\nHost: x\r\n\r\n") as (held,),
    ):
        service.notes.wait_for("begun-first")
        # Which two of the four wait is the server's choice: two are refused at once, two when their time is up.
        with crowd(service, 4, b"GET /held/more HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as clients:
            answers = [read_to_end(client) for client in clients]
        assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        assert all(b"retry-after: 1\r\n" in answer.lower() for answer in answers)
        until(lambda: service.log.count("GET /held/more 503 ") == 4, "what is logged after it was answered")
        service.notes.leave("release")
        assert held.recv(65_536).startswith(b"HTTP/1.1 200")
        assert service.notes.read("begun-more") is None


def test_a_request_whose_client_left_is_not_run(tmp_path: Path) -> None:
    """A request that waits for a thread is dropped when its client leaves, and never reaches the application."""
    with (
        running(tmp_path, options={"threads": 1}) as service,
        crowd(service, 1, b"GET /held/first HTTP/1.1\r\nHost: x\r\n\r\n") as (held,),
    ):
        service.notes.wait_for("begun-first")
        with crowd(service, 1, b"GET /held/left HTTP/1.1\r\nHost: x\r\n\r\n"):
            pass
        until(lambda: "GET /held/left 499 " in service.log, "the request to be dropped")
        service.notes.leave("release")
        assert held.recv(65_536).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{service.url}/hello").text == "hello"
        assert service.notes.read("begun-left") is None
