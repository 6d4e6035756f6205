"""Werkzeug's debugger, in which anybody can run anything: it is not offered beyond loopback, and nothing else is."""

import logging
from collections.abc import Iterator

import click
import pytest
from flask.cli import FlaskGroup, run_command

from api.debugging import refuse_debugger
from api.logs import configure_logging
from api.settings import Settings
from tests.api.conftest import Api

DEBUGGING = [["--debug"], ["--debugger"], ["--debug", "--no-reload"]]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what Flask's command line sets taken back."""
    monkeypatch.setenv("FLASK_DEBUG", "0")
    monkeypatch.delenv("FLASK_RUN_HOST", raising=False)


@pytest.fixture
def flask_run() -> Iterator[click.Context]:
    with click.Context(run_command, info_name="run") as context:
        context.params = {"host": "127.0.0.1", "debugger": None}
        yield context


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
@pytest.mark.parametrize("debugging", DEBUGGING, ids=" ".join)
def test_no_debugger_beyond_loopback(host: str, debugging: list[str]) -> None:
    """``flask run`` ends before it listens, by an exception that its reloader does not keep."""
    with pytest.raises(SystemExit, match="this machine alone"):
        FlaskGroup().main(["--app", "app", "run", "--host", host, *debugging], "flask", standalone_mode=False)


def test_the_environment_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """``FLASK_DEBUG`` and ``FLASK_RUN_HOST`` are refused like what they stand for."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setenv("FLASK_RUN_HOST", "0.0.0.0")
    with pytest.raises(SystemExit, match="this machine alone"):
        FlaskGroup().main(["--app", "app", "run"], "flask", standalone_mode=False, auto_envvar_prefix="FLASK")


def test_a_debugger_on_loopback_is_its_users_own(flask_run: click.Context) -> None:
    """On loopback, or without a debugger, nothing is refused."""
    for host, debugger in (("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)):
        flask_run.params = {"host": host, "debugger": debugger}
        refuse_debugger()


def test_a_script_has_no_debugger_beyond_loopback(sqlite_api: Api) -> None:
    """``app.run`` refuses it as well."""
    with pytest.raises(SystemExit, match="this machine alone"):
        sqlite_api.app.run("0.0.0.0", use_debugger=True)


def test_answers_are_the_same_in_debug_mode(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is never in Flask's debug mode, under whatever server; a crash tells clients nothing."""
    sqlite_api.app.debug = True

    @sqlite_api.app.get("/crash")
    def crash() -> str:
        raise RuntimeError("inner workings")

    answer = sqlite_api.call("GET", "/crash", None)
    assert not sqlite_api.app.debug
    assert (answer.status_code, b"inner" in answer.data) == (500, False)


def test_other_servers_logs_have_no_queries(
    sqlite_environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What Werkzeug's and uvicorn's servers log of a request is without its query, in which there may be a session."""
    configure_logging(Settings.from_env(sqlite_environment))
    caplog.set_level(logging.INFO)
    line = "POST /logout.json?s=canary&user_key=canary HTTP/1.1"
    logging.getLogger("werkzeug").info('"%s" %s %s', line, 200, "-")
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "x", "POST", line.split()[1], "1.1", 200)
    assert [message.count("/logout.json?… ") for message in caplog.messages] == [1, 1]
    assert "canary" not in "".join(caplog.messages)
