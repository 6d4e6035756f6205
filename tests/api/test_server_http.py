"""HTTP through the adapter, on Granian and uvicorn: what reaches the application, and what is answered before it."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from api.bodies import MOST_PARTS
from tests.api.small_app import until
from tests.api.small_servers import Running, read_to_end, running

BODY_BYTES = 65_536


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def service(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    limits = json.dumps({"body_seconds": 0.5})
    with running(tmp_path_factory.mktemp("http"), request.param, LIMITS=limits) as service:
        yield service


def environ_of(response: bytes) -> dict[str, str]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), response
    return dict(json.loads(body))


def assert_problem(response: bytes, status: int) -> None:
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0].startswith(b"http/1.1 %d " % status)
    assert b"content-type: application/problem+json" in lines
    assert b"cache-control: no-store" in lines
    problem: dict[str, Any] = json.loads(body)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == ("about:blank", status)


def test_a_body_of_the_limit_is_read_whole(service: Running) -> None:
    """A body of exactly 64 KiB reaches the application, with its length."""
    answer = httpx.post(f"{service.url}/length", content=b"x" * BODY_BYTES).json()
    assert answer == {"body": BODY_BYTES, "declared": BODY_BYTES}


def test_a_chunked_body_arrives_with_its_real_length(service: Running) -> None:
    """A chunked body is decoded before the application sees it, and Content-Length is what was read."""
    answer = httpx.post(f"{service.url}/length", content=iter([b"abc", b"de"])).json()
    assert answer == {"body": 5, "declared": 5}


def test_a_declared_body_over_the_limit_is_refused_unread(service: Running) -> None:
    """A Content-Length over 64 KiB is answered with 413 before any of the body is sent, and the connection closes."""
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1)
    assert_problem(service.exchange(head), 413)


def test_a_chunked_body_over_the_limit_is_refused(service: Running) -> None:
    """A chunked body is counted as it comes, answered with 413 when it passes 64 KiB, and the connection closes."""
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % BODY_BYTES + b"x" * BODY_BYTES + b"\r\n"
    assert_problem(service.exchange(head + chunk + b"1\r\nx\r\n"), 413)


# uvicorn puts small chunks together.
@pytest.mark.parametrize("service", ["granian"], indirect=True)
def test_a_body_in_very_many_pieces_is_refused(service: Running) -> None:
    """A body that comes byte by byte is answered with 400 after some thousands of them: each costs as much as many."""
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert_problem(service.exchange(head + b"1\r\nx\r\n" * (MOST_PARTS + 1)), 400)


def test_an_unfinished_body_times_out(service: Running) -> None:
    """A body that is not complete in time is answered with 408, and the connection closes."""
    assert_problem(service.exchange(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"), 408)


CHUNKED = b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("service", ["granian"], indirect=True)  # uvicorn answers these itself
@pytest.mark.parametrize("header", [b"Host: y", b"Transfer-Encoding: identity, chunked"])
def test_what_a_proxy_may_read_otherwise_is_a_400(service: Running, header: bytes) -> None:
    """A second Host, and a coding besides chunks, are refused, and what comes after them is not taken for a request."""
    hidden = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = service.exchange(b"POST /length HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n0\r\n\r\n" + hidden)
    assert_problem(answer, 400)


# uvicorn answers, or drops, these itself.
@pytest.mark.parametrize("service", ["granian"], indirect=True)
@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", id="no size"),
        pytest.param(CHUNKED + b"1" + b"0" * 16 + b"\r\nabc\r\n0\r\n\r\n", id="size past 64 bits"),
        pytest.param(CHUNKED + b"3\nabc\n0\n\n", id="bare LF"),
        pytest.param(CHUNKED + b"3\r\nabcde\r\n0\r\n\r\n", id="chunk longer than its size"),
        pytest.param(CHUNKED + b"3;" + b"e" * 40_000 + b"\r\nabc\r\n0\r\n\r\n", id="huge extension"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n0\r\n" + b"T: x\r\n" * 2000 + b"\r\n", id="many trailers"),
        pytest.param(CHUNKED + b"5\r\nab", id="half a chunk"),
        pytest.param(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", id="3 bytes of 10"),
    ],
)
def test_a_malformed_body_is_a_400(service: Running, request_bytes: bytes) -> None:
    """A body that cannot be decoded, or that the client ends halfway, is answered with 400, and logged as that."""
    logged = service.log.count("INFO api.access_log POST /length 400 ")
    with service.connect() as client:
        client.sendall(request_bytes)
        # The server may have answered and left already, with bytes of this unread.
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        assert_problem(read_to_end(client), 400)
    until(lambda: service.log.count("INFO api.access_log POST /length 400 ") == logged + 1, "the log line")


@pytest.mark.parametrize("method", [b"get", b"Get", b"delete"])
def test_methods_are_case_sensitive(service: Running, method: bytes) -> None:
    """A method in small letters is no method: it is answered with 501, and never taken for its capitals."""
    assert_problem(service.exchange(method + b" /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 501)


def test_headers_over_the_limit_are_refused(service: Running) -> None:
    """Path, query and headers of 60,000 bytes pass; more than 64 KiB get 431, and the connection closes."""
    head = b"GET /hello?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: %s\r\n\r\n"
    assert service.exchange(head % (b"q" * 30_000, b"v" * 30_000)).endswith(b"hello")
    assert_problem(service.exchange(head % (b"q" * 30_000, b"v" * 36_000)), 431)


@pytest.mark.parametrize("service", ["granian"], indirect=True)
def test_a_path_and_query_over_the_limit_are_refused(service: Running) -> None:
    """Of 65,534 bytes they are refused with their headers, as ever; longer ones get 414 without a body."""
    request = b"GET /hello?%s HTTP/1.1\r\nHost: x\r\n\r\n"
    assert_problem(service.exchange(request % (b"q" * (65_534 - len("/hello?")))), 431)
    head, _, body = service.exchange(request % (b"q" * (65_535 - len("/hello?")))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 414 ")
    assert body == b""


def test_a_path_arrives_raw_and_decoded(service: Running) -> None:
    """A path with %2F and invalid UTF-8 reaches the application as it was sent, and decoded byte by byte."""
    environ = environ_of(
        service.exchange(b"GET /environ/a%2Fb%FF%C3%A9?q=%2F HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    )
    assert environ["PATH_INFO"] == "/environ/a/b\xff\xc3\xa9"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/environ/a%2Fb%FF%C3%A9?q=%2F"
    assert environ["QUERY_STRING"] == "q=%2F"


def test_headers_cannot_pass_for_others(service: Running) -> None:
    """A header name with an underscore is dropped; duplicates are joined, cookies as cookies are."""
    environ = environ_of(
        service.exchange(
            b"GET /environ/x HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: forged\r\nX-Forwarded-For: a\r\n"
            b"X-Forwarded-For: b\r\nCookie: c=1\r\nCookie: d=2\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n"
        )
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "a,b"
    assert environ["HTTP_COOKIE"] == "c=1; d=2"
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_UPGRADE" not in environ


def test_the_environ_tells_the_connection(service: Running) -> None:
    """The environ names the client's address, the server's address and port, the scheme and the protocol."""
    environ = environ_of(service.exchange(b"GET /environ/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
    assert environ["REMOTE_ADDR"] == environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(service.port)
    assert (environ["wsgi.url_scheme"], environ["SERVER_PROTOCOL"]) == ("http", "HTTP/1.1")


def test_answers_without_a_body_have_none(service: Running) -> None:
    """HEAD tells the length that GET would have; 204 has no body; OPTIONS and 404 come from the application."""
    with httpx.Client(base_url=service.url) as client:
        head = client.head("/hello")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
        nothing = client.get("/nothing")
        assert (nothing.status_code, nothing.content) == (204, b"")
        assert "GET" in client.options("/hello").headers["allow"]
        assert client.get("/no-such-path").status_code == 404
        assert client.get("/hello").text == "hello"


def test_eight_requests_use_one_connection(service: Running) -> None:
    """A connection is kept alive from one request to the next, with and without bodies."""
    with service.connect() as client, client.makefile("rb") as answers:
        for number in range(8):
            body = b"x" * number
            client.sendall(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert answers.readline().startswith(b"HTTP/1.1 200")
            headers = dict(line.rstrip().lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
            assert json.loads(answers.read(int(headers[b"content-length"])))["body"] == number


def test_a_large_answer_arrives_whole(service: Running) -> None:
    """An answer of a megabyte arrives whole, with its Content-Length."""
    answer = httpx.get(f"{service.url}/large")
    assert answer.headers["content-length"] == "1000000"
    assert answer.content == b"y" * 1_000_000


@pytest.mark.parametrize("path", ["/fails", "/writes"])
def test_a_failure_of_the_application_is_a_500(service: Running, path: str) -> None:
    """An application that raises gives problem details, and the log has neither its words nor the query string."""
    answer = service.exchange(b"GET %s?secret-query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    assert_problem(answer, 500)
    assert f"GET {path}: " in service.log
    assert "secret-query" not in service.log
    assert "words-of-an-exception" not in service.log
