"""``doorman users``, on the store that an application serves meanwhile."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api import cli
from api.cli_terminal import show_all, shown
from app import create_core
from tests.api.conftest import PASSWORD, Api
from tests.databases import ADMIN, Environment
from tests.running import DOORMAN, START_SECONDS, clean_environment

TOKEN = "a-token-of-somebody-1"
SHOWN = ["user_name", "oauth", "id", "user_group", "disabled", "name", "email", "created_at", "updated_at"]

MakeApi = Callable[[Environment], Api]
Run = Callable[..., Result]


@pytest.fixture
def run(environment: Environment, api: Api) -> Run:
    """Run ``doorman users`` in this process, over the store of ``api``."""
    return runner(environment)


@pytest.fixture
def sqlite_run(sqlite_environment: Environment, sqlite_api: Api) -> Run:
    return runner(sqlite_environment)


def runner(environment: Environment) -> Run:
    def run(*arguments: str, text: str | bytes = "", **settings: str) -> Result:
        given = {name: None for name in os.environ if name not in clean_environment()} | environment | settings
        return CliRunner().invoke(
            cli.main, ["users", *arguments], input=text, obj=create_core, env=given, prog_name="doorman"
        )

    return run


def told(result: Result) -> Any:
    """Return what a command that is done has printed as JSON."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refusal(result: Result) -> tuple[int, dict[str, Any]]:
    """Return the status, and what a command that is refused says as JSON; it prints nothing else."""
    assert result.stdout == ""
    told: dict[str, Any] = json.loads(result.stderr.splitlines()[-1])
    return result.exit_code, told


def test_a_user_is_made_shown_changed_and_deleted(api: Api, run: Run) -> None:
    """Each step is in force at once in the service on the same store, and shows no hash."""
    fields = ["--group", "manager", "--name", "Joe Doe", "--email", "joe@example.com"]
    made = told(run("create", "Joe", "--password-stdin", "--json", *fields, text=f"{PASSWORD}\n"))
    assert list(made) == SHOWN
    wanted = {"user_name": "Joe", "user_group": "manager", "disabled": False, "name": "Joe Doe", "oauth": 0}
    assert made.items() >= wanted.items()
    assert api.get("", ("Joe", PASSWORD)).status_code == 200
    assert told(run("show", "joe", "--json")) == made

    changes = ["--group", "noob", "--no-name", "--email", "doe@example.com", "--random-password", "--random-token"]
    changed = told(run("set", "joe", "--json", *changes))
    assert list(changed) == [*SHOWN, "password", "token"]
    assert changed.items() >= {"user_group": "noob", "name": None, "email": "doe@example.com", "id": made["id"]}.items()
    assert api.get("/Joe", ("Joe", PASSWORD)).status_code == 401
    assert api.get("/Joe", ("Joe", changed["password"])).status_code == 200
    assert api.get("/Joe", changed["token"]).status_code == 200

    token = told(run("refresh-token", "joe", "--json"))["token"]
    assert api.get("/Joe", changed["token"]).status_code == 401
    assert api.get("/Joe", token).status_code == 200

    assert told(run("set", "joe", "--disable", "--json"))["disabled"] is True
    assert api.get("/Joe", token).status_code == 401
    assert told(run("set", "joe", "--enable", "--json"))["disabled"] is False
    assert told(run("delete", "joe", "--yes", "--json")) == {"user_name": "Joe", "deleted": True}
    assert refusal(run("show", "joe", "--json"))[1]["error"] == "user_not_found"


def test_sessions_are_listed_and_revoked(api: Api, run: Run) -> None:
    """By the ids that the list shows, or all of them; of several ids all are, or none."""
    api.add("joe")

    def log_in() -> str:
        secret: str = api.ask("/login.json", {"username": "joe", "password": PASSWORD}).get_json()["id"]
        return secret

    def is_open(secret: str) -> bool:
        return api.ask("/api/v2/verify", method="GET", headers={"Cookie": f"session={secret}"}).status_code == 200

    secrets = [log_in(), log_in(), log_in()]
    listed = [json.loads(line) for line in run("sessions", "joe", "--json").stdout.splitlines()]
    assert [session["kind"] for session in listed] == ["session"] * 3
    assert not [secret for secret in secrets if secret in json.dumps(listed)]
    last, _, first = (session["id"] for session in listed)
    assert refusal(run("revoke", "joe", last, "0" * 24, "--json")) == (
        1,
        {"error": "session_not_found", "message": "The user has no session of this id."},
    )
    assert [is_open(secret) for secret in secrets] == [True] * 3
    assert told(run("revoke", "joe", first, first, "--json")) == {"user_name": "joe", "revoked": 1}
    assert [is_open(secret) for secret in secrets] == [False, True, True]
    assert told(run("revoke", "joe", "--all", "--json")) == {"user_name": "joe", "revoked": 2}
    assert not [secret for secret in secrets if is_open(secret)]
    assert run("sessions", "joe", "--json").stdout == ""
    assert api.get("/joe", ("joe", PASSWORD)).status_code == 200


def test_the_last_admin_stays(api: Api, run: Run) -> None:
    """The command line asks the core, as everybody does."""
    for command in (["delete", "root", "--yes"], ["set", "root", "--group", "noob"], ["set", "root", "--disable"]):
        status, told = refusal(run(*command, "--json"))
        assert (status, told["error"]) == (1, "last_admin")
    assert api.get("", ADMIN).status_code == 200


def test_lists_are_filtered(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, page after page, as an object a line."""
    monkeypatch.setattr("api.cli_users._PAGE", 2)
    for name in ("ann", "Bob", "bea", "cid"):
        api.add(name, "manager" if name in {"ann", "bea"} else "noob")
    assert api.post("/oau?oauth=1", {"token": TOKEN}).status_code == 200

    def names(*options: str) -> list[str]:
        lines = run("list", "--json", *options).stdout.splitlines()
        assert all(list(json.loads(line)) == SHOWN for line in lines)
        return [json.loads(line)["user_name"] for line in lines]

    assert names() == ["ann", "bea", "Bob", "cid", "root"]
    assert names("--group", "manager") == ["ann", "bea"]
    assert names("--prefix", "B") == ["bea", "Bob"]
    assert names("--oauth") == ["oau"]
    assert [names("--limit", str(limit)) for limit in (1, 3, 9)] == [names()[:1], names()[:3], names()]


def test_oauth_users_are_managed_by_name(api: Api, run: Run) -> None:
    """``--oauth`` names the OAuth user of a name, and an ordinary one is left alone."""
    api.add("joe")
    made = told(run("create", "joe", "--oauth", "--token-stdin", "--json", text=f"{TOKEN}\n"))
    assert (made["oauth"], list(made)) == (1, SHOWN)
    assert api.get("/joe?oauth=1", TOKEN).status_code == 200
    assert told(run("set", "joe", "--oauth", "--name", "Joe", "--json"))["id"] == made["id"]
    assert told(run("show", "joe", "--json"))["name"] is None
    assert refusal(run("set", "joe", "--oauth", "--random-password", "--json"))[1]["fields"].keys() == {"password"}
    told(run("delete", "joe", "--oauth", "--yes", "--json"))
    assert run("show", "joe", "--oauth").stderr.endswith("Error: No OAuth user has the name joe.\n")
    assert run("show", "joe").exit_code == 0


@pytest.mark.parametrize(
    ("command", "text", "status", "expected"),
    [
        (["create", "root", "--random-password"], "", 1, {"error": "user_exists"}),
        (["create", "ROOT", "--random-password"], "", 1, {"error": "user_exists"}),
        (
            ["create", "a b", "--password-stdin", "--email", "x"],
            "short\n",
            1,
            {"error": "invalid_parameters", "fields": {"user_name", "password", "email"}},
        ),
        (["create", "new", "--password-stdin"], "", 1, {"fields": {"password"}}),
        (["create", "new", "--password-stdin"], b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n", 1, {"fields": {"password"}}),
        (["create", "new", "--password-stdin"], "x" * 100_000, 1, {"fields": {"password"}}),
        (["set", "root", "--token-stdin"], "short\n", 1, {"fields": {"token"}}),
        (["show", "nobody"], "", 1, {"error": "user_not_found"}),
        (["show", "a b"], "", 1, {"fields": {"user_name"}}),
        (["delete", "nobody", "--yes"], "", 1, {"error": "user_not_found"}),
        (["sessions", "nobody"], "", 1, {"error": "user_not_found"}),
        (["create", "new"], "", 2, {"error": "usage"}),
        (["create", "new", "--password"], "", 2, {"error": "usage"}),
        (["create", "new", "--password-stdin", "--random-password"], "", 2, {"error": "usage"}),
        (["set", "root"], "", 2, {"error": "usage"}),
        (["set", "root", "--name", "x", "--no-name"], "", 2, {"error": "usage"}),
        (["set", "root", "--token-stdin", "--random-token"], "", 2, {"error": "usage"}),
        (["delete", "root"], "y\n", 2, {"error": "usage"}),
        (["revoke", "root"], "", 2, {"error": "usage"}),
        (["revoke", "root", "x", "--all"], "", 2, {"error": "usage"}),
        (["list", "--group", "king"], "", 2, {"error": "usage"}),
        (["list", "--limit", "0"], "", 2, {"error": "usage"}),
        (["nothing"], "", 2, {"error": "usage"}),
    ],
)
def test_a_refusal_is_told_to_programs(
    sqlite_run: Run, *, command: list[str], text: str | bytes, status: int, expected: dict[str, Any]
) -> None:
    """With ``--json``: a line of JSON on standard error says what is wrong in a word, and names the fields."""
    found, told = refusal(sqlite_run(*command, "--json", text=text))
    assert (found, isinstance(told["message"], str)) == (status, True)
    assert told.keys() == {"error", "message"} | ({"fields"} if "fields" in told else set())
    if "fields" in expected:
        assert told["fields"].keys() == expected["fields"]
    assert told["error"] == expected.get("error", "invalid_parameters")
    plain = sqlite_run(*command, text=text)
    assert (plain.exit_code, plain.stdout) == (status, "")
    assert "Error: " in plain.stderr
    assert "Traceback" not in plain.stderr


@pytest.mark.parametrize(
    ("settings", "status", "error"),
    [({"PORT": "x"}, 1, "setup"), ({"DATABASE_URL": "mongodb://127.0.0.1:1/"}, 3, "unavailable")],
)
def test_whether_trying_again_helps_is_in_the_status(
    sqlite_run: Run, settings: Environment, status: int, error: str
) -> None:
    """A store that cannot be reached is 3, and what has to be mended first is 1."""
    found, told = refusal(sqlite_run("list", "--json", **settings))
    assert (found, told["error"]) == (status, error)


@pytest.mark.parametrize(
    "command", [["create", "new", "canary-secret"], ["set", "root", "--password", "canary-secret"]]
)
def test_a_secret_in_the_arguments_is_not_repeated(sqlite_run: Run, command: list[str]) -> None:
    """Who types one there by mistake is told that it is no place for it, and not in its own words."""
    for options in ([], ["--json"]):
        result = sqlite_run(*command, *options)
        assert (result.exit_code, "Passwords and tokens are none" in result.stderr) == (2, True)
        assert "canary" not in result.output


CURSOR = "\x1b[2J\x1b]0;title\x07\r\n\t\x9b31m\u202e\u2066\u200b\u2028\ud800"


def test_what_is_stored_writes_nothing_to_the_terminal(
    sqlite_api: Api, sqlite_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither control characters nor what turns the text round; they are shown as escapes, and in JSON as well."""
    sqlite_api.add("joe")
    user = sqlite_api.core.accounts.get("joe")
    # No surface takes such a name; another program may have written it.
    sqlite_api.core.store.replace(user, replace(user, name=CURSOR[:-1], revision=user.revision + 1), ())
    for command in (["show", "joe"], ["list"], ["show", "joe", "--json"], ["list", "--json"], ["delete", CURSOR[:-1]]):
        result = sqlite_run(*command)
        assert not [character for character in result.output if not character.isprintable() and character not in "\t\n"]
        assert result.output.count("\n") < 12
    assert shown(CURSOR) == r"\x1b[2J\x1b]0;title\x07\r\n\t\x9b31m\u202e\u2066\u200b\u2028\ud800"
    assert shown("Jürgen 名字 عمر") == "Jürgen 名字 عمر"
    assert capsys.readouterr().out == ""


# Passwords are asked for on the terminal that controls the process, whatever its input is.
_ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A command on a terminal of its own, which has it for its input, its output and its errors."""

    def __init__(self, *arguments: str, environment: Environment, cwd: Path) -> None:
        self.output = ""
        self._fd, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, DOORMAN, *arguments],
            env=clean_environment() | environment,
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def await_text(self, text: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while text not in self.output:
            assert select.select([self._fd], [], [], deadline - time.monotonic())[0], self.output
            self.output += self._read()

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self) -> int:
        """Return the exit status."""
        deadline = time.monotonic() + START_SECONDS
        while select.select([self._fd], [], [], deadline - time.monotonic())[0] and (piece := self._read()):
            self.output += piece
        return self._process.wait(START_SECONDS)

    def close(self) -> None:
        os.close(self._fd)
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        try:
            return os.read(self._fd, 4096).decode()
        except OSError:  # the other end is closed
            return ""


@pytest.fixture
def terminal(sqlite_environment: Environment, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Run ``doorman users`` on terminals that end with the test."""
    with ExitStack() as ends:

        def run(*arguments: str) -> Terminal:
            return ends.enter_context(
                closing(Terminal("users", *arguments, environment=sqlite_environment, cwd=tmp_path))
            )

        yield run


def test_a_terminal_is_asked(sqlite_api: Api, terminal: Callable[..., Terminal]) -> None:
    """For a password, twice and unseen, and before a user is deleted; there a list is a table."""
    create = terminal("create", "joe")
    create.await_text("Password: ")
    create.type(f"{PASSWORD}\n")
    create.await_text("The same again: ")
    create.type(f"{PASSWORD}\n")
    assert create.end() == 0
    assert PASSWORD not in create.output
    assert sqlite_api.get("/joe", ("joe", PASSWORD)).status_code == 200

    shown = terminal("create", "ann", "--password-stdin")
    assert shown.end() == 2
    assert "Standard input is a terminal" in shown.output

    table = terminal("list")
    assert table.end() == 0
    lines = [line.rstrip() for line in table.output.splitlines()[1:]]
    assert re.fullmatch(r"USER NAME +USER GROUP +DISABLED +EMAIL +NAME +CREATED AT", lines[0])
    assert [line.split()[:3] for line in lines[1:]] == [["joe", "noob", "no"], ["root", "admin", "no"]]
    assert len({line.index("20") for line in lines[1:]} | {lines[0].index("CREATED")}) == 1

    for answer, status, names in (("n", 1, ["joe", "root"]), ("y", 0, ["root"])):
        delete = terminal("delete", "joe")
        delete.await_text("[y/N]: ")
        delete.type(f"{answer}\n")
        assert (delete.end(), sqlite_api.names()) == (status, names)


def test_columns_are_as_wide_as_what_they_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where characters take two columns, or none."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    names = ["名字", "e\u0301a", "abcdefgh"]
    show_all([{"name": name, "email": "x"} for name in names], ["name", "email"], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "NAME      EMAIL",
        "名字      x",
        "e\u0301a        x",
        "abcdefgh  x",
    ]
