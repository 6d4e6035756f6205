"""The files that ``doorman import`` reads: their forms, and what is wrong with them."""

import io
import json
import os
import re
import subprocess
import threading
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import import_files
from api.csv_cells import plain_cell, safe_cell
from api.settings import Settings
from app import create_core
from models.clients import client_at
from models.core import Core
from models.errors import BrokenRuleError
from models.passwords import Hasher
from models.secret import Secret
from tests.api.commands import Commands, lines
from tests.api.conftest import Api
from tests.databases import Environment
from tests.foreign_vectors import (
    FIREBASE_DIGEST,
    FIREBASE_HASH,
    FIREBASE_KEY,
    FIREBASE_PASSWORD,
    FIREBASE_SALT,
    FIREBASE_SEPARATOR,
    HASHES,
    PASSWORD,
)
from tests.running import DOORMAN, clean_environment

OLD = Hasher(4).hash(Secret(PASSWORD))
APACHE = HASHES["openssl -apr1"]


@pytest.fixture
def commands(sqlite_environment: Environment, tmp_path: Path) -> Commands:
    return Commands(sqlite_environment, tmp_path)


def kept(commands: Commands) -> dict[str, tuple[Any, ...]]:
    """Return of each user what files give."""
    return {name: (user.password_hash, user.email, user.name, user.disabled) for name, user in commands.users().items()}


def test_htpasswd(commands: Commands) -> None:
    """A line is a name, a colon and a hash; comments and empty lines are none."""
    content = f"# ours\nann:{APACHE}\r\n\nbob:{OLD}\ncarl:{HASHES['htpasswd -s']}\nno colon\n\xff:{OLD}\n"
    told = commands.bring(content.encode("latin-1"), name=".htpasswd")
    assert [(result["place"], *result["rules"]) for result in told["results"]] == [(6, "entry"), (7, "user_name")]
    assert kept(commands) == {
        "ann": (APACHE, None, None, False),
        "bob": (OLD, None, None, False),
        "carl": (HASHES["htpasswd -s"], None, None, False),
    }


def test_comma_separated(commands: Commands) -> None:
    """The first line names the fields, in any order; an empty cell is none; rows are told by their last line."""
    content = (
        "\ufeffemail,user_name,disabled,password_hash,name,user_group\r\n"
        f'ann@example.com,ann,TRUE,{OLD},"Ann, ""A""",manager\r\n'
        f",bob,,{OLD}\r\n"
        f",,,{OLD},,\r\n"
        f",x,maybe,{OLD},,\r\n"
        f",y,,{OLD},,,,\r\n"
        f',"two\nlines",,{OLD},,\r\n'
    )
    told = commands.bring(content, name="u.csv")
    assert [(result["place"], *result["rules"]) for result in told["results"]] == [
        (4, "user_name"),
        (5, "disabled"),
        (6, "entry"),
        (8, "user_name"),
    ]
    assert kept(commands) == {"ann": (OLD, "ann@example.com", 'Ann, "A"', True), "bob": (OLD, None, None, False)}


def test_an_empty_cell_takes_no_password_away(commands: Commands) -> None:
    """A new user whose cell of ``password_hash`` is empty has no password; who has one keeps it; a cut row is none."""
    head = "user_name,email,password_hash\n"
    assert commands.bring(f"{head}ann,,{OLD}\nbob,,\n", name="u.csv")["created"] == 2
    content = f"{head}ann,ann@example.com,\nbob,,\ncarl,carl@example.com\n"
    told = commands.bring(content, "--on-conflict", "update", name="u.csv")
    assert (told["updated"], told["unchanged"], told["failed"]) == (1, 1, 1)
    assert told["results"][0]["rules"] == {"password": ["It is required, or password_hash."]}
    told = commands.bring("user_name,password\ndan,\n", name="u.csv")
    assert told["results"][0]["rules"] == {"password": ["It is required, or password_hash."]}
    assert kept(commands) == {"ann": (OLD, "ann@example.com", None, False), "bob": (None, None, None, False)}


@pytest.mark.parametrize("row", [b"x" * (32 << 20), b'"x\n",' * (6 << 20)], ids=["line", "lines"])
def test_a_row_without_an_end_takes_no_memory(tmp_path: Path, row: bytes) -> None:
    """A row is read as far as one may be long, be it one line or, in quotes, many."""
    file = tmp_path / "u.csv"
    file.write_bytes(b"user_name\n" + row)
    tracemalloc.start()
    with (
        file.open("rb") as stream,
        pytest.raises(BrokenRuleError, match=r"Line \d+ cannot be read as CSV: a row may have 65536 characters"),
    ):
        list(import_files.comma_separated(stream))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 << 20


DJANGO = [
    {"model": "auth.group", "pk": 1, "fields": {"name": "editors"}},
    {
        "model": "auth.user",
        "pk": 1,
        "fields": {
            "password": HASHES["Django pbkdf2_sha256"],
            "is_superuser": True,
            "username": "ann",
            "first_name": "Ann",
            "last_name": "Lee",
            "email": "ann@example.com",
            "is_active": False,
        },
    },
    {"model": "auth.user", "fields": {"password": HASHES["Django bcrypt"], "username": "bob", "email": ""}},
    {"model": "auth.user", "fields": {"password": "!unusable", "username": "carl", "email": ""}},
]
KRATOS = [
    {
        "traits": {"email": "ann@example.com", "username": "ann", "name": {"first": "Ann", "last": "Lee"}},
        "credentials": {"password": {"config": {"hashed_password": HASHES["Django pbkdf2_sha256"]}}},
        "state": "inactive",
    },
    {
        "traits": {"email": "bob@example.com"},
        "credentials": {"password": {"identifiers": ["bob"], "config": {"hashed_password": OLD}}},
    },
    {"traits": {"username": "carl"}},
]
SCRYPT = HASHES["passlib scrypt"].split("$")
AUTH0 = [
    {
        "email": "ann@example.com",
        "username": "ann",
        "name": "Ann Lee",
        "custom_password_hash": {"algorithm": "pbkdf2", "hash": {"value": HASHES["Django pbkdf2_sha256"]}},
        "blocked": True,
    },
    {
        "_id": {"$oid": "0" * 24},
        "username": "bob",
        "name": "bob@example.com",
        "email": "bob@example.com",
        "passwordHash": OLD,
    },
    {"username": "carl", "custom_password_hash": {"algorithm": "md5", "hash": {"value": "0" * 32}}},
]
FIREBASE_CONFIG = f"""hash_config {{
  algorithm: SCRYPT,
  base64_signer_key: {FIREBASE_KEY},
  base64_salt_separator: {FIREBASE_SEPARATOR},
  rounds: 8,
  mem_cost: 14,
}}
"""
EXPECTED_BOB = {"django": (None, HASHES["Django bcrypt"].removeprefix("bcrypt$")), "kratos": ("bob@example.com", OLD)}


@pytest.mark.parametrize(("source", "users"), [("django", DJANGO), ("kratos", KRATOS), ("auth0", AUTH0)])
@pytest.mark.parametrize("form", ["list", "lines"])
def test_other_systems(commands: Commands, source: str, users: list[dict[str, Any]], form: str) -> None:
    """What Django, Kratos and Auth0 export: names, addresses, hashes, who is shut out. Nobody becomes an admin."""
    content = json.dumps(users, indent=1) if form == "list" else lines(*users)
    told = commands.bring(content, "--format", source, name="export.json")
    assert (told["created"], told["failed"]) == (2, 1)
    email, hashed = EXPECTED_BOB.get(source, ("bob@example.com", OLD))
    assert kept(commands) == {
        "ann": (HASHES["Django pbkdf2_sha256"], "ann@example.com", "Ann Lee", True),
        "bob": (hashed, email, None, False),
    }
    assert {user.user_group for user in commands.users().values()} == {"noob"}


def test_firebase(commands: Commands) -> None:
    """What ``firebase auth:export`` writes, with the parameters that the project's console shows."""
    users = [
        {"localId": "l1", "email": "ann@example.com", "passwordHash": FIREBASE_DIGEST, "salt": FIREBASE_SALT},
        {"localId": "l2", "displayName": "Bob", "disabled": True, "providerUserInfo": []},
    ]
    config = commands.write("config.txt", FIREBASE_CONFIG)
    options = ("--format", "firebase", "--firebase-config", config, "--passwordless")
    told = commands.bring(json.dumps({"users": users}), *options, name="users.json")
    assert told["created"] == 2
    assert kept(commands) == {
        "ann@example.com": (FIREBASE_HASH, "ann@example.com", None, False),
        "l2": (None, None, "Bob", True),
    }
    core = commands.core()
    caller = core.authenticator.basic("ann@example.com", Secret(FIREBASE_PASSWORD), client_at("192.0.2.1"))
    assert caller.user.user_name == "ann@example.com"
    core.close()


def test_an_import_goes_on_under_the_same_parameters_alone(commands: Commands) -> None:
    """Where the Firebase project's are others by now, one that was interrupted begins anew: hashes differ by them."""
    users = {"users": [{"localId": f"l{number}"} for number in range(450)]}
    config, name = commands.write("config.txt", FIREBASE_CONFIG), commands.write("users.json", json.dumps(users))
    command = ("import", name, "--format", "firebase", "--firebase-config", config, "--passwordless")

    def interrupted(settings: Settings, *, with_first_admin: bool = True) -> Core:
        core = create_core(settings, with_first_admin=with_first_admin)
        insert, batches = core.store.insert, count(1)

        def insert_one(users: Any, events: Any) -> None:
            if next(batches) > 1:
                raise KeyboardInterrupt
            insert(users, events)

        core.store.insert = insert_one  # type: ignore[method-assign]  # a store that is interrupted
        return core

    assert commands.run(*command, create=interrupted).status == 130
    commands.write("config.txt", FIREBASE_CONFIG.replace(FIREBASE_KEY, "A" + FIREBASE_KEY[1:]))
    ran = commands.run(*command)
    assert "Going on" not in ran.err
    assert ran.out.startswith("created 250, updated 0, unchanged 200")
    commands.write("config.txt", FIREBASE_CONFIG)
    assert "Going on after 200 users" in commands.run(*command).err


def test_what_is_not_understood_is_told_in_a_line(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that are too many may be passwords, and are not repeated; what the store refuses is no trace."""
    monkeypatch.chdir(commands.directory)
    commands.bring(lines({"user_name": "ann", "password_hash": OLD}), name="u.jsonl")
    changed = {"SECRET_KEY": "another key, of more than thirty-two bytes"}
    other_key = Commands(commands.environment | changed, commands.directory)
    for command in ("import", "export"):
        for form in ((), ("--json",)):
            ran = commands.run(command, "u.jsonl", "canary-password", *form)
            assert (ran.status, ran.out, "canary" in ran.err) == (2, "", False)
            assert "too many arguments" in ran.err
            ran = other_key.run(command, "u.jsonl", *form)
            assert (ran.status, ran.out) == (1, "")
            assert "SECRET_KEY is not the one" in ran.err.splitlines()[-1]


def test_a_signer_key_is_shown_to_nobody(commands: Commands, make_api: Callable[[Environment], Api]) -> None:
    """The key of a Firebase project, which its users' hashes need, is not in what v2 shows of them."""
    commands.bring(lines({"user_name": "ann", "password_hash": FIREBASE_HASH}))
    shown = make_api(commands.environment).get("/ann").get_json()["password"]
    assert FIREBASE_HASH.startswith(shown)
    assert FIREBASE_KEY not in shown


def test_a_terminal_shows_how_far_it_is(commands: Commands) -> None:
    """Where standard error is a terminal, a bar goes with what is settled; standard output has the summary alone."""
    name = commands.write("u.jsonl", lines(*({"user_name": f"u{n}", "password_hash": OLD} for n in range(1000))))
    master, slave = os.openpty()
    done = subprocess.run(
        [DOORMAN, "import", name],
        env=clean_environment() | commands.environment,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        check=True,
    )
    os.close(slave)
    with os.fdopen(master, "rb") as screen, suppress(OSError):  # which is how the end of a terminal reads
        shown = screen.read1(1 << 16).decode()
    assert done.stdout == "created 1,000, updated 0, unchanged 0, kept 0, failed 0\n"
    assert re.search(r"Importing .*100%.*1,000 users", shown.replace("\r", "\n"))
    assert "1,000 users" in shown


def test_a_pipe_is_read_like_a_file(commands: Commands) -> None:
    """What a process substitution gives has no size and cannot be read again."""
    pipe = commands.directory / "pipe.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(
        target=lambda: pipe.write_text(lines({"user_name": "ann", "password_hash": OLD})), daemon=True
    )
    writer.start()
    assert commands.run("import", str(pipe), "--json").json()["created"] == 1


def test_auth0_scrypt(commands: Commands) -> None:
    """Auth0's own form of scrypt, its salt and digest in any of its encodings."""
    salt, digest = (part + "=" * (-len(part) % 4) for part in (SCRYPT[3], SCRYPT[4].replace(".", "+")))

    def user(name: str, encoding: str, encode: Any) -> dict[str, Any]:
        custom = {"algorithm": "scrypt", "cost": 1024, "blockSize": 8, "parallelization": 1, "keylen": 32}
        values = {"hash": b64decode(digest), "salt": b64decode(salt)}
        return {
            "username": name,
            "custom_password_hash": custom | {k: {"value": encode(v), "encoding": encoding} for k, v in values.items()},
        }

    users = [user("a", "hex", bytes.hex), user("b", "base64", lambda value: b64encode(value).decode())]
    users += [user("c", "hex", lambda _: "xyz"), user("d", "hex", bytes.hex)]
    users[3]["custom_password_hash"]["password"] = {"encoding": "utf16le"}
    told = commands.bring(json.dumps(users), "--format", "auth0", name="users.json")
    assert (told["created"], told["failed"]) == (2, 2)
    hashes = [user.password_hash for user in commands.users().values()]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "object"),
        (b"7", "object"),
        (b"{", "JSON"),
        (b'{"user_name": NaN}', "JSON"),
        (b'{"user_name": "a", "user_name": "b"}', "twice"),
        (b'{"user_name": "\xff"}', "UTF-8"),
        (b"[" * 20000, "nested"),
        (b'{"n": ' + b"1" * 5000 + b"}", "JSON"),
        (b'{"user_name": "' + b"x" * 70000 + b'"}', "bytes"),
    ],
    ids=range(9),
)
def test_a_line_that_is_no_user_spoils_no_other(commands: Commands, content: bytes, reason: str) -> None:
    """It is told by its number, and the lines around it are imported."""
    fine = [lines({"user_name": name, "password_hash": OLD}).encode() for name in "ab"]
    told = commands.bring(fine[0] + content + b"\n" + fine[1])
    assert set(kept(commands)) == {"a", "b"}
    [result] = told["results"]
    assert result["place"] == 2
    assert reason in json.dumps(result["rules"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("u.csv", "name,email\n", "The first line must name the fields"),
        ("u.csv", "user_name,user_name\n", "The first line must name the fields"),
        ("u.csv", f'user_name,password_hash\na,{OLD}\n"b', "Line 3 cannot be read as CSV"),
        ("u.csv", f"user_name,password_hash\na,{OLD}\n{'x' * 70000},", "Line 3 cannot be read as CSV"),
        ("u.json", f'[{{"username": "a", "password_hash": "{OLD}"}}, {{"us', "Item 2 of the list cannot be read"),
        ("u.json", f'[{{"username": "a", "password_hash": "{OLD}"}}', "Item 2 of the list cannot be read"),
    ],
    ids=range(6),
)
def test_a_file_that_cannot_be_read_on_says_where(commands: Commands, name: str, content: str, message: str) -> None:
    """What came before is imported; the rest is said to be unread, and the status is 1."""
    told = commands.bring(content, *(["--format", "auth0"] if name == "u.json" else []), name=name)
    assert message in told["stopped"]
    assert set(kept(commands)) == ({"a"} if OLD in content else set())
    ran = commands.run("import", str(commands.directory / name), *(["--format", "auth0"] if name == "u.json" else []))
    assert ran.status == 1
    assert message in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["u.json"], "say --format"),
        (["u.json", "--format", "firebase"], "need --firebase-config"),
        (["u.json", "--format", "firebase", "--firebase-config", "u.json"], "have to name base64_signer_key"),
        (["missing.jsonl"], "does not exist"),
        (["u.json", "--format", "yaml"], "is not one of"),
    ],
)
def test_what_cannot_be_begun_is_said(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """A command that cannot do its work says why, and touches nothing."""
    monkeypatch.chdir(commands.directory)
    commands.write("u.json", "{}")
    ran = commands.run("import", *arguments)
    assert ran.status in {1, 2}
    assert message in " ".join(ran.err.split())
    assert not (commands.directory / "doorman.db").exists()


def test_standard_input_is_a_file(commands: Commands) -> None:
    """``-`` reads from a pipe."""
    ran = commands.run("import", "-", "--format", "jsonl", text=lines({"user_name": "ann", "password_hash": OLD}))
    assert (ran.status, ran.out) == (0, "created 1, updated 0, unchanged 0, kept 0, failed 0\n")


def test_what_is_told_shows_no_secret_and_rules_no_terminal(commands: Commands) -> None:
    """Neither passwords nor hashes are told, and no name that could write to the terminal as it likes."""
    entries = [
        {"user_name": "\x1b[2Jx", "password": "canary-canary-1"},
        {"user_name": "a" * 500, "password": "canary-canary-2", "password_hash": OLD},
        {"user_name": "b", "password_hash": "canary-canary-3"},
        {"user_name": "c", "password": "canary-canary-4" * 9},
    ]
    name = commands.write("u.jsonl", lines(*entries))
    for ran in (commands.run("import", name), commands.run("import", name, "--json")):
        assert ran.status == 1
        assert "canary" not in ran.out + ran.err
        assert OLD not in ran.out + ran.err
        assert "\x1b" not in ran.out + ran.err
        assert "a" * 100 not in ran.out + ran.err


def test_of_very_many_errors_some_are_shown(commands: Commands) -> None:
    """A file of the wrong kind does not flood the terminal: a hundred are told, and how many more there are."""
    ran = commands.run("import", commands.write("u.jsonl", "x\n" * 150))
    assert len(ran.err.splitlines()) == 1 + 100 + 1
    assert "and 50 more" in ran.err
    assert ran.out == "created 0, updated 0, unchanged 0, kept 0, failed 150\n"


@given(st.text("='+-@\t\rab", max_size=6))
def test_cells_are_no_formulas_and_come_back(text: str) -> None:
    """What a spreadsheet would compute begins with an apostrophe, and is read as it was."""
    assert plain_cell(safe_cell(text)) == text
    assert not safe_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text('\\"[]{},é', max_size=9))))
def test_lists_are_read_whole_wherever_they_are_cut(items: list[dict[str, Any]]) -> None:
    """A list is read in parts, and where these end makes no difference."""
    text = json.dumps(items, ensure_ascii=False, indent=1)
    read = io.StringIO(text[1:])

    class Trickle(io.StringIO):
        def read(self, _: int | None = -1) -> str:
            return super().read(1)

    assert list(import_files._items(Trickle(text[1:]), "")) == items
    assert list(import_files._items(read, "")) == items
