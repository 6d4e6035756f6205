"""``doorman export``: all users in a file, and from there into another store."""

import csv
import io
import json
import os
import signal
import stat
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from api.exchanges import by_command_line
from models.passwords import Hasher
from models.secret import Secret
from tests.api.commands import Commands, lines
from tests.databases import Environment
from tests.foreign_vectors import HASHES
from tests.storage.stores import opened

OLD = Hasher(4).hash(Secret("a password of some length"))
ENTRIES: list[dict[str, Any]] = [
    {"user_name": "=cmd|'!A0", "password_hash": OLD},
    {"user_name": "ann", "password_hash": OLD, "name": "=1+1", "email": "ann@example.com", "user_group": "admin"},
    {"user_name": "bob", "password_hash": HASHES["Django scrypt"], "name": '\'t Hooft, "G"', "disabled": True},
    {"user_name": "bob", "oauth": 1, "token": "the-token-of-bob-1"},
    {"user_name": "\u00e9milie", "password_hash": None, "email": "+x@example.com", "user_group": "manager"},
]


def test_users_move_to_the_other_store(
    sqlite_environment: Environment, mongod_environment: Environment, tmp_path: Path
) -> None:
    """What was exported with hashes, and imported into the other kind of store, is the same users to the last field."""
    for number, (from_, to, form) in enumerate(
        (
            (sqlite_environment, mongod_environment, "jsonl"),
            (mongod_environment, sqlite_environment | {"DATABASE_URL": f"sqlite:///{tmp_path}/2.db"}, "csv"),
        )
    ):
        source, target = Commands(from_, tmp_path), Commands(to, tmp_path)
        if number == 0:
            entries = [entry if entry.get("oauth") else {"name": None, **entry} for entry in ENTRIES]
            assert source.bring(lines(*entries))["failed"] == 0
            core = source.core()
            with by_command_line():
                core.accounts.update(None, "ann", {"password": Secret("another password")})
            core.close()
        file = str(tmp_path / f"all.{form}")
        assert source.run("export", file, "--with-hashes", "--json").json()["exported"] == len(ENTRIES)
        told = target.run("import", file, "--json").json()
        assert (told["created"], told["failed"], told["lost_tokens"]) == (len(ENTRIES), 0, 0)
        assert _all_of(target) == _all_of(source)
        assert target.run("import", file, "--json").json()["unchanged"] == len(ENTRIES)
        core = target.core()
        [found] = core.store.find_users_by_token(
            core.importer.keys.token_digests(Secret("the-token-of-bob-1"))
        ).values()
        assert found in _all_of(target)
        core.close()


def _all_of(commands: Commands) -> list[Any]:
    core = commands.core()
    try:
        return list(core.exports.users())
    finally:
        core.close()


@pytest.fixture
def commands(sqlite_environment: Environment, tmp_path: Path) -> Commands:
    made = Commands(sqlite_environment, tmp_path)
    made.bring(lines(*ENTRIES))
    return made


def test_a_file_without_hashes_holds_none(commands: Commands) -> None:
    """Unless they are asked for, neither hashes nor what tokens are found by is written; and what is there is said."""
    file = commands.directory / "plain.jsonl"
    ran = commands.run("export", str(file))
    assert "without any hash" in ran.out
    text = file.read_text()
    assert OLD not in text
    assert set(json.loads(text.splitlines()[0])) == {
        *("id", "user_name", "oauth", "name", "email"),
        *("user_group", "disabled", "created_at", "updated_at"),
    }
    assert "with the hashes" in commands.run("export", str(file), "--with-hashes").out


def test_the_file_is_its_owners_and_whole_or_not_there(commands: Commands) -> None:
    """It is made with mode 0600, and takes the place of another one when it is whole; else nothing is left of it."""
    file = commands.directory / "users.jsonl"
    file.write_text("old")
    file.chmod(0o644)
    commands.run("export", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().splitlines()) == len(ENTRIES)
    before = set(commands.directory.iterdir())

    def failing(settings: Any, *, with_first_admin: bool = True) -> Any:
        core = commands.core()
        core.store.find_users = lambda _: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[assignment,method-assign]  # a store that is interrupted
        return core

    assert commands.run("export", str(file), create=failing).status == 1
    assert set(commands.directory.iterdir()) == before
    ran = commands.run("export", str(commands.directory / "no" / "folder.jsonl"))
    assert (ran.status, "cannot be written" in ran.err) == (1, True)


def test_a_stop_leaves_what_was_there(commands: Commands) -> None:
    """SIGTERM ends an export with status 143; the file that it was to replace stays, and no part of a new one."""
    file = commands.directory / "users.jsonl"
    before = {path: path.read_bytes() for path in commands.directory.glob("*.jsonl")}
    assert file in before

    def stopped(*_: Any, **__: Any) -> Any:
        core = commands.core()
        find = core.store.find_users

        def find_and_stop(keys: Any) -> Any:
            found = find(keys)
            os.kill(os.getpid(), signal.SIGTERM)
            return found

        core.store.find_users = find_and_stop  # type: ignore[method-assign]  # a store during whose work one is stopped
        return core

    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        ran = commands.run("export", str(file), "--with-hashes", create=stopped)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert (ran.status, ran.out) == (143, "")
    after = {path: path.read_bytes() for path in commands.directory.iterdir() if "jsonl" in path.name}
    assert after == before


def test_a_spreadsheet_computes_nothing(commands: Commands) -> None:
    """No cell begins as a formula does, and standard output holds nothing but the table."""
    ran = commands.run("export", "-", "--format", "csv", "--with-hashes")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["user_name"] for row in rows] == ["'=cmd|'!A0", "ann", "bob", "\u00e9milie", "bob"]
    assert rows[1]["name"] == "'=1+1"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert "exported 5 users" in ran.err


def test_a_user_who_cannot_be_read_spoils_no_other(commands: Commands) -> None:
    """It is told by its id, the others are written, and the status is 1."""
    with opened(commands.directory / "doorman.db") as database:
        database.execute("UPDATE users SET user_group = 'king' WHERE user_name = 'ann'")
    ran = commands.run("export", "-")
    assert (ran.status, len(ran.out.splitlines())) == (1, len(ENTRIES) - 1)
    assert "cannot be read and is left out" in ran.err


def test_tokens_of_another_secret_key_are_left_out(commands: Commands, tmp_path: Path) -> None:
    """Nobody could find them there: their users are imported without a token, and that is said."""
    file = str(commands.directory / "users.jsonl")
    commands.run("export", file, "--with-hashes")
    environment = commands.environment | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/2.db",
        "SECRET_KEY": "another key, of more than thirty-two bytes",
    }
    other = Commands(environment, tmp_path)
    told = other.run("import", file, "--json").json()
    assert (told["created"], told["lost_tokens"]) == (len(ENTRIES), 1)
    assert not [user for user in other.users().values() if user.token_digests]


def test_what_is_no_file_stays_what_it_is(sqlite_environment: Environment, tmp_path: Path) -> None:
    """A pipe or a device is written to, and not replaced: /dev/null would be a file from then on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    commands = Commands(sqlite_environment, tmp_path)
    assert commands.bring(lines(ENTRIES[1]))["failed"] == 0
    reading = Thread(target=lambda: read.append(pipe.read_text()))
    read: list[str] = []
    reading.start()
    commands.run("export", str(pipe))
    reading.join()
    assert json.loads(read[0])["user_name"] == "ann"
    assert pipe.is_fifo()


def test_a_link_stays_one(commands: Commands) -> None:
    """What it leads to is replaced, beside itself, or made, or written to if it is no file."""
    folder = commands.directory / "folder"
    folder.mkdir()
    (folder / "old.jsonl").write_text("old")
    for name, target in (("a", "old.jsonl"), ("b", "new.jsonl")):
        link = commands.directory / name
        link.symlink_to(folder / target)
        assert commands.run("export", str(link), "--format", "jsonl").status == 0
        assert link.is_symlink()
        assert len((folder / target).read_text().splitlines()) == len(ENTRIES)
        assert stat.S_IMODE((folder / target).stat().st_mode) == 0o600
    assert {file.name for file in folder.iterdir()} == {"old.jsonl", "new.jsonl"}
    with (folder / "gone").open("w+") as gone:
        (folder / "gone").unlink()
        (commands.directory / "c").symlink_to(f"/proc/self/fd/{gone.fileno()}")
        assert commands.run("export", str(commands.directory / "c")).status == 0
        assert len(gone.read().splitlines()) == len(ENTRIES)
    (commands.directory / "round").symlink_to("round")
    ran = commands.run("export", str(commands.directory / "round"))
    assert (ran.status, "cannot be written" in ran.err) == (1, True)
    assert len(list(folder.iterdir())) == 2
