"""The log of a running service, line by line: its form, whose request each line is about, and what is in it."""

import json
import re
import socket
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Api
from tests.api.small_app import until
from tests.databases import ADMIN, Environment
from tests.mongod import free_port
from tests.running import Doorman, run_doorman

Serve = Callable[[Environment], Doorman]

TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines(doorman: Doorman) -> list[dict[str, Any]]:
    return [json.loads(line) for line in doorman.log.splitlines()]


def line_of(doorman: Doorman, request_id: str) -> dict[str, Any]:
    """Return the access log's line of a request, which may be written after its answer."""
    until(lambda: request_id in doorman.log, "the line")
    (line,) = [line for line in lines(doorman) if line.get("request_id") == request_id]
    return line


def test_each_line_is_an_object(sqlite_environment: Environment, serve: Serve) -> None:
    """Of the parent, the workers and Granian, from the first line to the last one, warnings and stops included."""
    doorman = serve(sqlite_environment | {"LOG_LEVEL": "debug", "HOST": "0.0.0.0", "METRICS_PORT": str(free_port())})
    doorman.call("GET")
    doorman.stop()
    written = lines(doorman)
    assert {"_granian", "api.cli", "api.access_log"} <= {line["logger"] for line in written}
    assert len({line["process"] for line in written}) == 2
    assert [line["level"] for line in written if "HOST=0.0.0.0" in line["message"]] == ["warning"]
    for line in written:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert {"level", "logger", "message", "process"} <= line.keys()


def test_a_line_for_each_request(sqlite_environment: Environment, serve: Serve) -> None:
    """With ``ACCESS_LOG`` each request has one, which tells who proved to be whom, where it led and what came of it."""
    doorman = serve(sqlite_environment | {"ACCESS_LOG": "on", "TRUSTED_PROXIES": "127.0.0.0/8"})
    user = doorman.call("PUT", "/root/update", json={"name": "Root"}).json()["_id"]["$oid"]
    headers = {
        "X-Request-ID": "the-proxys-own",
        "X-Forwarded-For": "2001:db8::7",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    answer = doorman.call("GET", "/root?oauth=0", headers=headers)
    assert answer.headers["X-Request-ID"] == "the-proxys-own"
    line = line_of(doorman, "the-proxys-own")
    assert line.pop("duration_ms") > 0
    assert re.fullmatch("GET /api/v2/users/root 200 [0-9.]+ ms", line.pop("message"))
    known = {name: line[name] for name in line.keys() - {"time", "process", "span_id"}}
    assert known == {
        "level": "info",
        "logger": "api.access_log",
        "request_id": "the-proxys-own",
        "trace_id": TRACE,
        "parent_id": "b7ad6b7169203331",
        "method": "GET",
        "route": "/api/v2/users/<user_name>",
        "status": 200,
        "client": "2001:db8::7",
        "user_id": user,
    }
    refused = doorman.call("GET", "", ("canary-name", "canary-password"))
    line = line_of(doorman, refused.headers["X-Request-ID"])
    assert (line["status"], line["refused"], line["route"]) == (401, "not_authenticated", "/api/v2/users")
    assert "user_id" not in line
    large = httpx.post(f"{doorman.url}/login.json", content=b"x" * 70_000)  # refused before the application sees it
    assert line_of(doorman, large.headers["X-Request-ID"])["refused"] == "status_413"
    login = httpx.post(f"{doorman.url}/login.json", json={"username": ADMIN[0], "password": ADMIN[1]})
    assert line_of(doorman, login.headers["X-Request-ID"])["user_id"] == user
    assert "canary" not in doorman.log


def test_the_console_and_forward_authentication_tell_who_it_is(sqlite_environment: Environment, serve: Serve) -> None:
    """They too say in their lines who proved to be whom; and why the console refuses a login, as metrics count it."""
    doorman = serve(sqlite_environment | {"ACCESS_LOG": "on"})
    user = doorman.call("PUT", "/root/update", json={"name": "Root"}).json()["_id"]["$oid"]
    let_through = doorman.call("GET", "/../verify")
    assert line_of(doorman, let_through.headers["X-Request-ID"])["user_id"] == user
    with httpx.Client(base_url=doorman.url, headers={"Origin": doorman.url}) as browser:
        for password, is_known in ((ADMIN[1], True), ("a wrong one", False)):
            form = {"user_name": ADMIN[0], "password": password}
            answer = browser.post("/console/login", data=form)
            line = line_of(doorman, answer.headers["X-Request-ID"])
            assert line.get("user_id") == (user if is_known else None)
            assert line.get("refused") == (None if is_known else "not_authenticated")


def test_no_line_for_a_request_unless_it_is_asked_for(sqlite_environment: Environment, serve: Serve) -> None:
    """By default a request that went well, or was refused, leaves the log as it was."""
    doorman = serve(sqlite_environment)
    before = doorman.log
    assert [doorman.call("GET", "", auth).status_code for auth in (ADMIN, None)] == [200, 401]
    assert doorman.log == before


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_client_forges_a_line(sqlite_environment: Environment, serve: Serve, log_format: str) -> None:
    """What a client puts into its path, its headers and its address begins no line, and moves no cursor."""
    doorman = serve(
        sqlite_environment | {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "TRUSTED_PROXIES": "127.0.0.0/8"}
    )
    forged = "%0a2026-11-20T00:00:00.000Z CRITICAL forged%0d%1b[2K".replace(" ", "%20").encode()
    raw = b"\xe2\x80\xae\xc2\x85\xff"
    basic = b64encode(b"a\n{}\x1b:b")
    with socket.create_connection(("127.0.0.1", doorman.port)) as client:
        client.sendall(
            b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic %s\r\n"
            b"X-Request-ID: a%s\r\nX-Forwarded-For: fe80::1%%%s\r\ntraceparent: 00-%s\r\n\r\n"
            % (forged, basic, raw, b"eth0", raw)
        )
        assert b"".join(iter(lambda: client.recv(65_536), b"")).startswith(b"HTTP/1.1 4")
    until(lambda: "forged" in doorman.log, "the line")
    doorman.stop()
    written = doorman._log.read_bytes().decode()
    assert all(line.isprintable() for line in written.split("\n"))
    starts = "{" if log_format == "json" else "2"
    assert all(line.startswith(starts) for line in written.splitlines())
    assert not [line for line in written.splitlines() if line.startswith("2026-11-20T00:00:00.000Z")]


@pytest.mark.parametrize("wrong", [{"METRICS_PORT": "5000", "PORT": "5000"}, {"LOG_FORMAT": "xml"}])
def test_settings_are_checked(tmp_path: Path, wrong: Environment) -> None:
    """A wrong one stops the start by its name."""
    done = run_doorman("serve", environment=wrong, cwd=tmp_path)
    assert done.returncode == 1
    assert next(iter(wrong)) in done.stderr


def test_a_failed_start_is_a_line_too(sqlite_environment: Environment, serve: Serve, tmp_path: Path) -> None:
    """Why a service does not start can be read by the program that reads its log."""
    taken = sqlite_environment | {"PORT": str(serve(sqlite_environment).port)}
    done = run_doorman("serve", environment=taken, cwd=tmp_path)
    assert done.returncode == 1
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["critical"]


def test_every_answer_names_its_request(sqlite_api: Api) -> None:
    """Under a WSGI server too; a client's own name for it is not taken, and pages may read it."""
    answers = [sqlite_api.get("", auth, headers={"X-Request-ID": "canary"}) for auth in (ADMIN, None)]
    ids = [answer.headers.getlist("X-Request-ID") for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{24}", name) for names in ids for name in names)
    assert len({*ids[0], *ids[1]}) == 2


def test_a_crash_names_its_request(sqlite_api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """What is logged while a request runs has the id that its answer has."""
    from api.log_lines import JsonLines  # noqa: PLC0415 - of no use to the other tests

    caplog.handler.setFormatter(JsonLines())

    @sqlite_api.app.get("/crash")
    def crash() -> str:
        try:
            int("a-canary")
        except ValueError as error:
            raise RuntimeError(error) from error
        return ""

    answer = sqlite_api.call("GET", "/crash", None)
    (line,) = [json.loads(line) for line in caplog.text.splitlines() if "RuntimeError" in line]
    assert (answer.status_code, line["request_id"]) == (500, answer.headers["X-Request-ID"])
    assert line["level"] == "error"
    # Where it crashed, and what did, is told; what it was given is not.
    assert "in crash" in line["exception"]
    assert "ValueError" in line["exception"]
    assert "canary" not in line["exception"].replace('int("a-canary")', "")
