"""Secrets: they are in no log, figure, dump, page, refusal or exception, whatever happens."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.api.issuers import SmallIssuer
from tests.api.small_app import until
from tests.databases import Environment, dump
from tests.faults.canaries import Canaries
from tests.faults.extent import extent
from tests.faults.secret_surfaces import Surfaces
from tests.mongod import free_port
from tests.running import Doorman
from tests.websocket_clients import Talk

CRASHING = Path(__file__).with_name("crashing")
TELLS_NOTHING = "its message is left out"

Serve = Callable[[Environment], Doorman]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def guarded(canaries: Canaries, environment: Environment, issuer: SmallIssuer) -> Environment:
    """Settings whose secrets are canaries, by which as much is logged as can be; the two forms of it once each."""
    return environment | {
        **issuer.settings,
        "BASIC_AUTH_PASSWORD": canaries.text("admin password"),
        "AUTH_TOKEN": canaries.token("admin token"),
        "SECRET_KEY": canaries.text("secret key") * 2,
        "SECRET_KEY_PREVIOUS": canaries.text("previous key") * 2,
        "OIDC_CLIENT_SECRET": canaries.token("client secret"),
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "json" if environment["DATABASE_URL"].startswith("sqlite") else "text",
        "ACCESS_LOG": "on",
        "METRICS_PORT": str(free_port()),
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONPATH": str(CRASHING),
    }


@pytest.fixture
def surfaces(canaries: Canaries, guarded: Environment, serve: Serve, issuer: SmallIssuer) -> Surfaces:
    return Surfaces(serve(guarded), canaries, issuer)


def headers_and_body(answer: httpx.Response) -> bytes:
    return repr(answer.headers.multi_items()).encode() + answer.content


@pytest.mark.timeout(1800)
def test_no_secret_is_stored_logged_or_told(
    surfaces: Surfaces,
    guarded: Environment,
    talk: Talk,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """By each route and action, right, wrong or crashing, at debug level: no log, figure, page, error, dump has one."""
    doorman, canaries = surfaces.doorman, surfaces.canaries
    surfaces.begin()
    surfaces.converse(talk)
    surfaces.ask_all()
    surfaces.told("POST", "/api/v2/users/root/refresh", "token", "refreshed token", headers=surfaces.root)
    shown = b"".join(headers_and_body(answer) for answer in surfaces.shown)
    shown += surfaces.ask("GET", "/api/v2/status", headers=surfaces.root).content
    shown += httpx.get(f"http://127.0.0.1:{guarded['METRICS_PORT']}/metrics").content
    (worker,) = doorman.workers()
    (limit,) = (line for line in Path(f"/proc/{worker}/limits").read_text().splitlines() if "core file" in line)
    os.kill(worker, signal.SIGABRT)
    until(lambda: "Fatal Python error: Aborted" in doorman.log, "what is left of an aborted worker")
    doorman.stop()
    found = canaries.found_in(doorman.log.encode() + shown + dump(guarded, tmp_path))
    record_property("secrets", len(canaries.values))
    record_property("errors and pages", len(surfaces.shown))
    record_property("occurrences", len(found))
    assert not found, found[:5]
    assert limit.split()[4] == "0"
    assert doorman.log.count(TELLS_NOTHING) >= surfaces.crashes > extent(20, 200)
    assert "/api/v2/users/bob" in doorman.log
