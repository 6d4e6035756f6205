"""The command line, as the operator runs it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.commands import Commands
from tests.api.conftest import Api
from tests.databases import ADMIN, Environment
from tests.running import Doorman, run_doorman

MakeApi = Callable[[Environment], Api]


def test_admin_create_opens_the_store_directly(environment: Environment, make_api: MakeApi, tmp_path: Path) -> None:
    """``doorman admin create`` makes an admin with random credentials, shown this once, that work at once."""
    api = make_api(environment)
    done = run_doorman("admin", "create", "rescue", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"user_name +rescue\npassword +(\S{20,})\ntoken +(\S{43})\n", done.stdout)
    assert found
    assert api.get("", ("rescue", found[1])).get_json() == {"users": ["rescue", "root"]}
    assert api.get("", found[2]).status_code == 200


def test_admin_create_works_before_the_first_start(environment: Environment, make_api: MakeApi, tmp_path: Path) -> None:
    """In an empty store the operator's admin is the first one, and the next start adds no other."""
    command = ("admin", "create", "boss", "--password-stdin", "--json")
    done = run_doorman(*command, environment=environment, cwd=tmp_path, text="a password from standard input\n")
    assert json.loads(done.stdout)["password"] == "a password from standard input"
    assert make_api(environment).get("", ("boss", "a password from standard input")).get_json() == {"users": ["boss"]}


def test_reset_password_lets_a_locked_out_admin_in(environment: Environment, make_api: MakeApi, tmp_path: Path) -> None:
    """``doorman admin reset-password`` sets a new password and enables the admin; the old password ends."""
    api = make_api(environment)
    api.add("second", "admin")
    api.put("/root/update", {"disabled": True}, ("second", "a password of some length"))
    done = run_doorman("admin", "reset-password", "root", "--json", environment=environment, cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert shown.keys() == {"user_name", "password"}
    assert api.get("", ("root", shown["password"])).status_code == 200
    assert api.get("", ADMIN).status_code == 401


def test_keys_are_made_and_retired(environment: Environment, make_api: MakeApi, tmp_path: Path) -> None:
    """``doorman keys rotate`` makes another key and tells its id, which ``retire`` takes, once."""
    api = make_api(environment)
    [former] = api.ask("/.well-known/jwks.json", method="GET").get_json()["keys"]
    done = run_doorman("keys", "rotate", "--json", environment=environment, cwd=tmp_path)
    made = json.loads(done.stdout)["key_id"]
    assert made != former["kid"]
    assert run_doorman("keys", "retire", made, environment=environment, cwd=tmp_path).stdout == "retired\n"
    again = run_doorman("keys", "retire", made, "--json", environment=environment, cwd=tmp_path)
    assert (again.returncode, json.loads(again.stderr)["error"]) == (1, "key_not_found")


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "users.csv"],
        ["users", "list"],
        ["users", "show", "joe"],
        ["users", "set", "joe", "--disable"],
        ["users", "delete", "joe", "--yes"],
        ["users", "refresh-token", "joe"],
        ["users", "sessions", "joe"],
        ["users", "revoke", "joe", "--all"],
        ["admin", "reset-password", "joe"],
        ["keys", "rotate"],
        ["keys", "retire", "x"],
    ],
    ids=" ".join,
)
def test_only_what_brings_users_in_begins_a_store(
    sqlite_environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """In the wrong folder the other commands name the file that is not there, and the setting, and make nothing."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///data/doorman.db", "sqlite:///empty.db"):
        Path("empty.db").touch()
        ran = Commands(sqlite_environment | {"DATABASE_URL": url}, tmp_path).run(*arguments)
        assert (ran.status, ran.out) == (1, "")
        assert f"There is no database at {tmp_path}/{url.removeprefix('sqlite:///')}" in ran.err
        assert "DATABASE_URL" in ran.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty.db"]
    assert Path("empty.db").stat().st_size == 0


@pytest.mark.parametrize("key_id", ["-h5JNQTajJaSlTM3ezTfA1", "--json5JNQTajJaSlTM3ez"])
def test_a_key_whose_id_begins_with_a_hyphen_is_named(
    sqlite_environment: Environment, make_api: MakeApi, tmp_path: Path, key_id: str
) -> None:
    """One id in sixty-four does, and is no option."""
    make_api(sqlite_environment)
    done = run_doorman("keys", "retire", key_id, environment=sqlite_environment, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == f"Error: There is no key with the id {key_id}."


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["create", "root"], "", "A user with the name root exists already."),
        (["create", "a b"], "", "user_name: It may not contain spaces."),
        (["create", "new", "--password-stdin"], "short\n", "password: It must have at least 8 characters."),
        (["create", "new", "--password-stdin"], "", "password: It may not be empty."),
        (["reset-password", "nobody"], "", "No user has the name nobody."),
        (["reset-password", "a b"], "", "user_name: It may not contain spaces."),
        (["reset-password", "noob"], "", "The user noob is no admin."),
    ],
)
def test_what_cannot_be_done_is_said(
    sqlite_environment: Environment, make_api: MakeApi, tmp_path: Path, *, arguments: list[str], text: str, message: str
) -> None:
    """A command that cannot do its work ends with status 1 and one message on standard error."""
    make_api(sqlite_environment).add("noob")
    done = run_doorman("admin", *arguments, environment=sqlite_environment, cwd=tmp_path, text=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].removeprefix("Error: ") == message
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"PORT": "x"}, 1, "PORT must be 1 to 65535."),
        ({"SECRET_KEY": "another key, of more than thirty-two bytes"}, 1, "SECRET_KEY is not the one"),
        ({"DATABASE_URL": "sqlite:////proc/doorman.db"}, 1, "/proc"),
        ({"DATABASE_URL": "mongodb://127.0.0.1:1/"}, 3, "cannot be reached"),
        ({"DATABASE_URL": "mongodb://u:canary-p@ssword@127.0.0.1:1/?bad=%ZZ"}, 1, "percent-encoded: @ as %40"),
    ],
)
def test_a_start_that_cannot_be_says_why(
    sqlite_environment: Environment,
    make_api: MakeApi,
    tmp_path: Path,
    *,
    changes: Environment,
    status: int,
    message: str,
) -> None:
    """``doorman serve`` ends with a status and what is wrong, without a trace or a secret, when it cannot serve."""
    make_api(sqlite_environment)
    done = run_doorman("serve", environment=sqlite_environment | changes, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr


def test_health_asks_the_running_service(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> None:
    """``doorman health`` ends with 0 while the service is ready, and with 1 and the reason when nothing answers."""
    doorman = serve(sqlite_environment)
    place = sqlite_environment | {"PORT": str(doorman.port), "HOST": "0.0.0.0"}
    assert run_doorman("health", environment=place, cwd=tmp_path).stdout == "ready\n"
    assert run_doorman("health", "--json", environment=place, cwd=tmp_path).stdout == '{"status": "ready"}\n'
    doorman.stop()
    done = run_doorman("health", environment=place, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"Error: Nothing answers at 0.0.0.0:{doorman.port}.\n")


def test_help_lists_the_commands(tmp_path: Path) -> None:
    """``doorman --help`` and ``--version`` need no settings."""
    assert "serve" in run_doorman("--help", environment={}, cwd=tmp_path).stdout
    assert run_doorman("--version", environment={}, cwd=tmp_path).stdout.startswith("doorman, version ")
