"""What a first start makes: the first admin, and the secret key beside an SQLite database."""

import io
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from api.exchanges import by_command_line
from api.first_start import first_admin, secret_key
from api.settings import Settings
from app import create_app, create_core
from models.errors import SetupError
from models.secret import Secret
from tests.api.conftest import Api
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

pytestmark = pytest.mark.new_database

MakeApi = Callable[[Environment], Api]
UNCONFIGURED = dict.fromkeys(("BASIC_AUTH_USER", "BASIC_AUTH_PASSWORD", "AUTH_TOKEN"), "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_settings_name_the_first_admin(environment: Environment, make_api: MakeApi) -> None:
    """``BASIC_AUTH_USER``, ``BASIC_AUTH_PASSWORD`` and ``AUTH_TOKEN`` open a new store, and are not used again."""
    api = make_api(environment)
    assert api.get("", ADMIN).get_json() == {"users": ["root"]}
    assert api.get("", ADMIN_TOKEN).status_code == 200
    api.put("/root/update", {"password": "changed since then"})
    again = make_api(environment | {"BASIC_AUTH_USER": "other"})
    assert again.get("", ("root", "changed since then")).get_json() == {"users": ["root"]}


def test_the_first_admin_comes_from_files(environment: Environment, make_api: MakeApi, tmp_path: Path) -> None:
    """The credentials may stand in files, as container secrets do."""
    for name in ("BASIC_AUTH_PASSWORD", "AUTH_TOKEN"):
        path = tmp_path / name
        path.write_text(environment.pop(name) + "\n")
        environment[f"{name}_FILE"] = str(path)
    api = make_api(environment)
    assert api.get("", ADMIN).status_code == api.get("", ADMIN_TOKEN).status_code == 200


def test_a_random_password_is_shown_on_a_terminal_once(environment: Environment) -> None:
    """Without settings for it an admin with a random password is made; a terminal shows it at the first start alone."""
    settings = Settings.from_env(environment | UNCONFIGURED)
    core = create_core(settings, with_first_admin=False)
    shown, later = Terminal(), Terminal()
    first_admin(settings, core.accounts, shown)
    first_admin(settings, core.accounts, later)
    found = re.search(r"user name +admin\npassword +(\S{20,})\n", shown.getvalue())
    assert found
    assert later.getvalue() == ""
    assert Api(create_app(settings, core)).get("", ("admin", found[1])).get_json() == {"users": ["admin"]}
    core.store.close()


def test_without_a_terminal_the_password_goes_to_a_file(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where output is a log, the credentials are written once to a file of mode 0600, and only its path is logged."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env(environment | UNCONFIGURED)
    core = create_core(settings, with_first_admin=False)
    output = io.StringIO()
    with caplog.at_level("DEBUG"):
        first_admin(settings, core.accounts, output)
        first_admin(settings, core.accounts, output)
    (path,) = tmp_path.rglob("*.first-admin*")
    found = re.fullmatch(r"user name +admin\npassword +(\S{20,})\n", path.read_text())
    assert found
    assert mode(path) == 0o600
    assert str(path) in caplog.text
    assert found[1] not in caplog.text
    assert output.getvalue() == ""
    assert Api(create_app(settings, core)).get("", ("admin", found[1])).status_code == 200
    core.store.close()


def test_what_never_was_a_database_has_lost_no_key(tmp_path: Path) -> None:
    """A folder, a device or a text at the database's path is called so; nothing is asked for that it never had."""
    folder, text, old = (tmp_path / name for name in ("folder", "notes.txt", "old.db"))
    folder.mkdir()
    text.write_text("Some notes.")
    old.write_bytes(b"SQLite format 3\0" + bytes(100))
    for path, told in (
        (folder, "is a folder, and no database"),
        (text, "is no database of SQLite"),
        (old, "its secret key is not: restore"),
    ):
        with pytest.raises(SetupError, match=f"^{re.escape(str(path))} .*{told}"):
            secret_key(Settings.from_env({"DATABASE_URL": f"sqlite:///{path}"}))
        assert not Path(f"{path}.secret-key").exists()


def test_an_unwritable_place_makes_no_admin(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the password can be neither shown nor written, the start fails before there is an account nobody opens."""
    settings = Settings.from_env(environment | UNCONFIGURED)
    core = create_core(settings, with_first_admin=False)
    monkeypatch.setattr("api.first_start._credentials_path", lambda _: Path("/proc/no/such/place"))
    with pytest.raises(SetupError, match="BASIC_AUTH_USER and BASIC_AUTH_PASSWORD"):
        first_admin(settings, core.accounts, io.StringIO())
    assert not core.accounts.has_admin()
    core.store.close()


def test_credentials_of_an_admin_that_was_not_made_are_removed(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that fails because the name is taken leaves no file behind, however often it is tried."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env(environment | UNCONFIGURED)
    core = create_core(settings, with_first_admin=False)
    with by_command_line():
        core.accounts.create(None, "admin", {"password": Secret("the noob's own password")})
    for _ in range(3):
        with pytest.raises(SetupError, match="its user admin is none"):
            first_admin(settings, core.accounts, io.StringIO())
    assert not list(tmp_path.rglob("*.first-admin*"))
    core.store.close()


@pytest.mark.parametrize(
    ("changes", "setting", "rule"),
    [
        ({"BASIC_AUTH_USER": "a b"}, "BASIC_AUTH_USER", "It may not contain spaces."),
        ({"BASIC_AUTH_PASSWORD": "password1"}, "BASIC_AUTH_PASSWORD", "It is one of the most common passwords."),
        ({"AUTH_TOKEN": "short"}, "AUTH_TOKEN", "It must have 15 to 72 characters."),
    ],
)
def test_wrong_credentials_stop_the_start(
    environment: Environment, changes: Environment, setting: str, rule: str
) -> None:
    """The first admin's credentials are held to the rules, and a broken one is named by its setting, not shown."""
    with pytest.raises(SetupError, match=f"{setting}: {re.escape(rule)}") as caught:
        create_core(Settings.from_env(environment | changes))
    assert "password1" not in str(caught.value)


def test_a_taken_name_stops_the_start(environment: Environment) -> None:
    """Where the name is that of somebody who is no admin, that account is not touched; the message says what to do."""
    core = create_core(Settings.from_env(environment), with_first_admin=False)
    with by_command_line():
        core.accounts.create(None, "root", {"password": Secret("the noob's own password")})
    with pytest.raises(SetupError, match="doorman admin create"):
        create_core(Settings.from_env(environment))
    assert core.accounts.get("root").user_group == "noob"
    core.store.close()


def test_the_secret_key_is_made_beside_the_database(sqlite_environment: Environment, make_api: MakeApi) -> None:
    """With SQLite a first start makes the key, mode 0600, and later ones use it: tokens go on working."""
    del sqlite_environment["SECRET_KEY"]
    settings = Settings.from_env(sqlite_environment)
    make_api(sqlite_environment)
    assert settings.sqlite_path
    path = Path(f"{settings.sqlite_path}.secret-key")
    assert mode(path) == mode(settings.sqlite_path) == 0o600
    assert len(path.read_text().strip()) >= 43
    assert make_api(sqlite_environment).get("", ADMIN_TOKEN).status_code == 200


def test_a_database_whose_key_is_gone_is_refused(sqlite_environment: Environment, make_api: MakeApi) -> None:
    """Without its key a database is not served with a new one, which would silently end every token."""
    del sqlite_environment["SECRET_KEY"]
    settings = Settings.from_env(sqlite_environment)
    make_api(sqlite_environment)
    path = Path(f"{settings.sqlite_path}.secret-key")
    path.unlink()
    with pytest.raises(SetupError, match=re.escape(f"restore {path}")):
        secret_key(settings)
    assert not path.exists()


def test_another_secret_key_is_refused(environment: Environment, make_api: MakeApi) -> None:
    """A store that was used with one key does not start with another."""
    make_api(environment)
    with pytest.raises(SetupError, match="SECRET_KEY is not the one"):
        make_api(environment | {"SECRET_KEY": "another key, of more than thirty-two bytes"})


def test_a_secret_key_is_rotated_in_steps(environment: Environment, make_api: MakeApi) -> None:
    """Replicas with both keys find each other's tokens; those used meanwhile outlive the old key."""
    old, new = environment["SECRET_KEY"], "another key, of more than thirty-two bytes"
    make_api(environment)
    prepared = make_api(environment | {"SECRET_KEY_PREVIOUS": new})
    switched = make_api(environment | {"SECRET_KEY": new, "SECRET_KEY_PREVIOUS": old})
    prepared.add("early", token="token-made-before-the-switch")
    switched.add("late", token="token-made-after-the-switch")
    for api in (prepared, switched):
        assert api.get("", ADMIN_TOKEN).status_code == 200
        assert api.get("/early", "token-made-before-the-switch").status_code == 200
        assert api.get("/late", "token-made-after-the-switch").status_code == 200
        assert api.post("/bob", {"password": "a fine password", "token": ADMIN_TOKEN}).status_code == 400
    finished = make_api(environment | {"SECRET_KEY": new})
    assert finished.get("", ADMIN_TOKEN).status_code == 200
    assert finished.get("/early", "token-made-before-the-switch").status_code == 200
    assert finished.get("/late", "token-made-after-the-switch").status_code == 200
