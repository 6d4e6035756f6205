"""``doorman import``: what becomes of each user of a file, whatever is there already."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.exchanges import by_command_line
from api.settings import Settings
from app import create_core
from models.clients import client_at
from models.core import Core
from models.errors import UnavailableError
from models.import_results import OnConflict
from models.import_rules import Entry
from models.import_runs import run
from models.passwords import Hasher
from models.secret import Secret
from models.storage import Store
from models.user import User
from tests.api.commands import Commands, lines
from tests.api.conftest import Api
from tests.databases import ADMIN, Environment
from tests.foreign_vectors import HASHES, HTPASSWD_BCRYPT, PASSWORD

MakeApi = Callable[[Environment], Api]
OLD = Hasher(4).hash(Secret(PASSWORD))
OTHER = Hasher(4).hash(Secret("the password of somebody else"))
DEAR = "$2b$06$" + OLD[7:]


@pytest.fixture
def commands(environment: Environment, tmp_path: Path) -> Commands:
    return Commands(environment, tmp_path)


@pytest.fixture
def here(sqlite_environment: Environment, tmp_path: Path) -> Commands:
    """The commands over SQLite, for what has nothing to do with the store."""
    return Commands(sqlite_environment, tmp_path)


def counts(told: Any) -> dict[str, int]:
    return {name: told[name] for name in ("created", "updated", "unchanged", "kept", "failed") if told[name]}


def test_imported_users_log_in(commands: Commands, make_api: MakeApi) -> None:
    """Every kind of hash, and a password in clear, open the door; what is given beside it is there as well."""
    hashes = {**HASHES, "bcrypt": OLD, "htpasswd -B": HTPASSWD_BCRYPT}
    entries = [
        {"user_name": f"user{number}", "password_hash": text, "email": f"user{number}@example.com", "name": name}
        for number, (name, text) in enumerate(hashes.items())
    ]
    entries.append({"user_name": "clear", "password": PASSWORD, "user_group": "manager", "token": "a-token-of-clear-1"})
    told = commands.bring(lines(*entries))
    assert counts(told) == {"created": len(entries)}
    assert told["weak_hashes"] == 4
    api = make_api(commands.environment)
    for entry in entries:
        assert api.get(f"/{entry['user_name']}", (entry["user_name"], PASSWORD)).status_code == 200
        assert api.get("", (entry["user_name"], PASSWORD + "x")).status_code == 401
    assert api.get("", "a-token-of-clear-1").status_code == 200
    users = commands.users()
    assert [(users[f"user{n}"].name, users[f"user{n}"].email) for n in range(2)] == [
        ("Django pbkdf2_sha256", "user0@example.com"),
        ("Django pbkdf2_sha1", "user1@example.com"),
    ]
    assert all(str(user.password_hash).startswith(("$2b$04$", "$2y$04$")) for user in users.values())
    assert all(user.epoch == 1 for user in users.values())


def test_refusals_take_as_long_as_the_dearest_imported_hash(commands: Commands) -> None:
    """What is imported is noted in the store before anybody can ask for it: costs, and recipes without a secret."""
    commands.bring(
        lines({"user_name": "a", "password_hash": DEAR}, {"user_name": "b", "password_hash": HASHES["argon2i"]})
    )
    core = commands.core()
    assert core.store.raise_highest_cost(0) == 6
    [recipe] = core.store.note_foreign_hashes(())
    assert recipe.startswith("$argon2i$v=19$m=256,t=1,p=2$AAAA")
    core.close()


def test_the_token_of_an_imported_user_is_nobodys(commands: Commands, make_api: MakeApi) -> None:
    """Until one is asked for there is none: what v2 shows for it is a hash that nothing matches."""
    commands.bring(lines(*({"user_name": name, "password_hash": OLD} for name in "ab")))
    first, second = (commands.users()[name] for name in "ab")
    assert first.token_digests == second.token_digests == ()
    assert first.token_hash != second.token_hash
    api = make_api(commands.environment)
    assert not Hasher(4).verify(Secret(""), first.token_hash)
    token = api.post("/a/refresh", auth=("a", PASSWORD)).get_json()["token"]
    assert api.get("/a", token).get_json()["user_name"] == "a"


def test_the_same_import_again_changes_nothing(commands: Commands) -> None:
    """Who is there already stays as it is, and counts as unchanged; so does one who is in the file twice."""
    content = lines(
        *({"user_name": f"user{number}", "password_hash": OLD, "name": "A B"} for number in range(450)),
        {"user_name": "USER3", "password_hash": OLD},
        {"user_name": "user4", "password_hash": OLD},
        {"user_name": "clear", "password": PASSWORD},
    )
    told = commands.bring(content)
    assert counts(told) == {"created": 451, "unchanged": 1, "kept": 1}
    [kept] = told["results"]
    assert (kept["place"], kept["user_name"], list(kept["rules"])) == (451, "USER3", ["user_name"])
    before = commands.users()
    assert counts(commands.bring(content)) == {"unchanged": 452, "kept": 1}
    assert counts(commands.bring(content, "--on-conflict", "fail", name="again.jsonl")) == {
        "unchanged": 452,
        "failed": 1,
    }
    assert commands.users() == before


def test_those_who_differ_are_kept_or_changed(commands: Commands, make_api: MakeApi) -> None:
    """``skip`` keeps them and tells in what they differ, ``update`` changes just that; other fields stay."""
    commands.bring(lines({"user_name": "ann", "password_hash": OLD, "name": "Ann", "email": "ann@example.com"}))
    other = {"user_name": "ann", "email": "ann@example.org", "disabled": False, "password": "another password"}
    told = commands.bring(lines(other))
    assert counts(told) == {"kept": 1}
    assert set(told["results"][0]["rules"]) == {"email"}
    assert counts(commands.bring(lines(other), "--on-conflict", "update")) == {"updated": 1}
    assert counts(commands.bring(lines(other), "--on-conflict", "update", "--from-start")) == {"unchanged": 1}
    user = commands.users()["ann"]
    assert (user.name, user.email, user.epoch) == ("Ann", "ann@example.org", 2)
    api = make_api(commands.environment)
    assert api.get("/ann", ("ann", "another password")).status_code == 200
    assert api.get("/ann", ("ann", PASSWORD)).status_code == 401


def test_what_is_anothers_is_refused_by_the_store(commands: Commands) -> None:
    """Of a batch, those whose address, token or id is another's fail, with their lines, and the others are there."""
    entries: list[dict[str, Any]] = [{"user_name": f"u{number}", "password_hash": OLD} for number in range(40)]
    entries[3]["email"] = entries[30]["email"] = "Same@example.com"
    entries[5]["id"] = entries[31]["id"] = "0" * 24
    entries[7]["token"] = entries[32]["token"] = "the-token-of-two-users"
    told = commands.bring(lines(*entries))
    assert counts(told) == {"created": 37, "failed": 3}
    assert [(result["place"], list(result["rules"])) for result in told["results"]] == [
        (31, ["email"]),
        (32, ["id"]),
        (33, ["token"]),
    ]
    assert set(commands.users()) == {entry["user_name"] for entry in entries} - {"u30", "u31", "u32"}


def test_the_last_admin_stays(commands: Commands, make_api: MakeApi) -> None:
    """An import neither demotes nor disables the last admin, nor takes away its password."""
    make_api(commands.environment)
    for change in ({"user_group": "noob"}, {"disabled": True}, {"password_hash": None}):
        entry = {"user_name": ADMIN[0], "user_group": "admin"} | change
        told = commands.bring(lines(entry), "--on-conflict", "update", "--passwordless")
        assert counts(told) == {"failed": 1}
        assert "last enabled admin" in json.dumps(told["results"])
    both = [{"user_name": ADMIN[0]}, {"user_name": "second", "password": PASSWORD}]
    assert counts(commands.bring(lines(both[1] | {"user_group": "admin"}))) == {"created": 1}
    told = commands.bring(
        lines(*(entry | {"user_group": "noob"} for entry in reversed(both))),
        *("--on-conflict", "update", "--passwordless"),
    )
    assert counts(told) == {"updated": 1, "failed": 1}
    assert make_api(commands.environment).get("", ADMIN).status_code == 200


def test_who_is_called_like_an_admin_is_none(commands: Commands, make_api: MakeApi) -> None:
    """People choose their names elsewhere: a file that says nothing of groups changes no admin."""
    make_api(commands.environment)
    told = commands.bring(lines({"user_name": ADMIN[0], "password_hash": OLD}), "--on-conflict", "update")
    assert counts(told) == {"failed": 1}
    assert "no noob" in json.dumps(told["results"])
    assert make_api(commands.environment).get("", ADMIN).status_code == 200


@pytest.mark.parametrize("becomes", [{"user_group": "admin"}, {"user_name": "bob"}, {"name": "Ann"}])
def test_who_changes_after_the_look_is_looked_at_again(commands: Commands, becomes: dict[str, Any]) -> None:
    """Who became an admin, or was called otherwise, between the look and the write, is not changed as a noob would be.

    Neither is one written to who has become by then what the file says.
    """
    commands.bring(lines({"user_name": "ann", "password_hash": OLD}))

    def overtaken(settings: Settings, *, with_first_admin: bool = True) -> Core:
        core = create_core(settings, with_first_admin=with_first_admin)
        look = core.store.find_users

        def looked(keys: Any) -> Any:
            found = look(keys)
            for user in found.values():
                assert isinstance(user, User)
                change = becomes | ({"name_key": becomes["user_name"]} if "user_name" in becomes else {})
                core.store.replace(user, user.changed(core.importer.clock(), **change), ())
            return found

        core.store.find_users = looked  # type: ignore[method-assign]  # somebody else is faster
        return core

    entry = {"user_name": "ann", "password": "another password"} if "name" not in becomes else {"user_name": "ann"}
    name = commands.write("u.jsonl", lines(entry | {"name": "Ann"}))
    ran = commands.run("import", name, "--on-conflict", "update", "--passwordless", "--json", create=overtaken)
    assert counts(ran.json()) == {"unchanged" if "name" in becomes else "failed": 1}
    [user] = commands.users().values()
    assert (user.password_hash, user.epoch, user.revision) == (OLD, 1, 2)


def test_names_that_differ_in_case_are_not_one_person(commands: Commands) -> None:
    """Elsewhere Bob and bob are two: the second is refused, and the first keeps the password."""
    two = [{"user_name": name, "password_hash": hashed} for name, hashed in (("Bob", OLD), ("bob", OTHER))]
    for outcome in ("created", "unchanged"):
        assert counts(commands.bring(lines(*two), "--on-conflict", "update")) == {outcome: 1, "failed": 1}
        assert commands.users()["Bob"].password_hash == OLD


def test_imports_of_one_file_race_to_one_of_each(commands: Commands) -> None:
    """Whoever else imports the same users at the same time, each is there once, and nobody fails."""
    entries = [{"user_name": f"user{n}", "password_hash": OLD, "email": f"user{n}@example.com"} for n in range(600)]
    name = commands.write("users.jsonl", lines(*entries))
    cores = [create_core(Settings.from_env(commands.environment), with_first_admin=False) for _ in range(2)]

    def bring(core: Core) -> Any:
        rules = core.importer.rules(passwordless=False)
        with by_command_line():
            imports = core.importer.imports(rules, OnConflict.SKIP, "jsonl", dry_run=False)
        read = [Entry(place, json.loads(line)) for place, line in enumerate(Path(name).read_text().splitlines())]
        found = [result.outcome.value for done in run(rules, imports, read) for result in done.results]
        imports.close()
        return found

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(bring, cores)
    assert (first + second).count("created") == 600
    assert (first + second).count("unchanged") == 600
    assert len(commands.users()) == 600
    for core in cores:
        core.close()


def test_an_import_that_was_interrupted_goes_on(commands: Commands) -> None:
    """What was written stays, and the same command goes on after it; when it is done, or changed, it begins anew."""
    entries = [{"user_name": f"u{n}", "password_hash": OLD} for n in range(900)]
    entries[0]["password_hash"] = HASHES["htpasswd -s"]
    entries[1]["password_hash"] = "none"
    name = commands.write("u.jsonl", lines(*entries))

    def interrupted(settings: Settings, *, with_first_admin: bool = True) -> Core:
        core = create_core(settings, with_first_admin=with_first_admin)
        _interrupt(core.store, at=3)
        return core

    ran = commands.run("import", name, create=interrupted)
    assert (ran.status, ran.out) == (130, "")
    assert "Interrupted after 400 users." in ran.err
    assert len(commands.users()) == 399
    ran = commands.run("import", name)
    assert (ran.status, ran.out) == (1, "created 899, updated 0, unchanged 0, kept 0, failed 1\n")
    assert "Going on after 400 users" in ran.err
    assert "1 passwords are hashed so weakly" in ran.err
    assert len(commands.users()) == 899
    ran = commands.run("import", name)
    assert ran.out == "created 0, updated 0, unchanged 899, kept 0, failed 1\n"
    assert "Going on" not in ran.err
    more = [{"user_name": f"v{n}", "password_hash": OLD} for n in range(900)]
    assert commands.run("import", commands.write("u.jsonl", lines(*more)), create=interrupted).status == 130
    more[0]["user_name"] = "w"
    ran = commands.run("import", commands.write("u.jsonl", lines(*more)))
    assert ran.out == "created 501, updated 0, unchanged 399, kept 0, failed 0\n"
    assert "Going on" not in ran.err


def _interrupt(store: Store, *, at: int) -> None:
    insert, calls = store.insert, 0

    def counted(users: Any, events: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        insert(users, events)

    store.insert = counted  # type: ignore[method-assign]  # to count the calls


def test_a_dry_run_changes_nothing(commands: Commands) -> None:
    """It tells what would become of each, and the store is as it was."""
    commands.bring(lines({"user_name": "ann", "password_hash": OLD}))
    before = commands.users()
    content = lines(
        {"user_name": "ann", "password_hash": OLD, "user_group": "admin"},
        {"user_name": "bob", "password_hash": HASHES["openssl -6"]},
        {"user_name": "BOB", "password_hash": HASHES["openssl -6"]},
        {"user_name": "a b", "password_hash": OLD},
    )
    told = commands.bring(content, "--dry-run", "--on-conflict", "update", name="b.jsonl")
    assert counts(told) == {"updated": 1, "created": 1, "kept": 1, "failed": 1}
    assert commands.users() == before
    core = commands.core()
    assert not core.store.note_foreign_hashes(())
    core.close()


def test_a_store_that_is_away_for_a_moment_stops_nothing(here: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary that is elected anew, or a writer that holds the file, makes the import wait."""
    monkeypatch.setattr("models.patience._PAUSE", 0.0)
    failures = iter([UnavailableError("away")] * 3)

    def flaky(settings: Settings, *, with_first_admin: bool = True) -> Core:
        core = create_core(settings, with_first_admin=with_first_admin)
        insert = core.store.insert

        def failing(users: Any, events: Any) -> None:
            if error := next(failures, None):
                raise error
            insert(users, events)

        core.store.insert = failing  # type: ignore[method-assign]  # a store that fails once
        return core

    name = here.write("u.jsonl", lines({"user_name": "ann", "password_hash": OLD}))
    assert here.run("import", name, create=flaky).status == 0
    assert set(here.users()) == {"ann"}


@pytest.mark.parametrize(
    ("entry", "field", "rule"),
    [
        ({"user_name": "a b", "password_hash": OLD}, "user_name", "spaces"),
        ({"password_hash": OLD}, "user_name", "required"),
        ({"user_name": 7, "password_hash": OLD}, "user_name", "text"),
        ({"user_name": "a\0", "password_hash": OLD}, "user_name", "NUL"),
        ({"user_name": "\ud800", "password_hash": OLD}, "user_name", "UTF-8"),
        ({"user_name": "a"}, "password", "required, or password_hash"),
        ({"user_name": "a", "password": None}, "password", "required, or password_hash"),
        ({"user_name": "a", "password": "short"}, "password", "at least 8"),
        ({"user_name": "a", "password": "password"}, "password", "common"),
        ({"user_name": "a", "password": PASSWORD, "password_hash": OLD}, "password", "beside"),
        ({"user_name": "a", "password": PASSWORD, "oauth": 1}, "password", "OAuth"),
        ({"user_name": "a", "password_hash": "$2b$17$" + "." * 53}, "password_hash", "cost must be 4 to 16"),
        ({"user_name": "a", "password_hash": OLD, "oauth": True}, "oauth", "0 or 1"),
        ({"user_name": "a", "password_hash": OLD, "email": "x"}, "email", "not an e-mail address"),
        ({"user_name": "a", "password_hash": OLD, "name": "x" * 71}, "name", "70"),
        ({"user_name": "a", "password_hash": OLD, "user_group": "root"}, "user_group", "one of"),
        ({"user_name": "a", "password_hash": OLD, "disabled": "no"}, "disabled", "true or false"),
        ({"user_name": "a", "password_hash": OLD, "token": "short"}, "token", "15 to 72"),
        ({"user_name": "a", "password_hash": OLD, "token_hash": HASHES["openssl -5"]}, "token_hash", "bcrypt"),
        ({"user_name": "a", "password_hash": OLD, "token_digests": ["0" * 64]}, "token_digests", "token_hash"),
        (
            {"user_name": "a", "password_hash": OLD, "token_hash": OLD, "token_digests": ["A" * 64]},
            "token_digests",
            "hex",
        ),
        ({"user_name": "a", "password_hash": OLD, "id": "x"}, "id", "24 hex"),
        ({"user_name": "a", "password_hash": OLD, "epoch": -1}, "epoch", "whole number"),
        (
            {"user_name": "a", "password_hash": OLD, "revision": (1 << 52) + 1},
            "revision",
            "whole number, 0 to 4503599627370496",
        ),
        ({"user_name": "a", "password_hash": OLD, "created_at": "2026-01-31"}, "created_at", "time"),
        ({"user_name": "a", "password_hash": OLD, "created_at": "2026-01-31T12:00:00"}, "created_at", "time zone"),
        ({"user_name": "a", "password_hash": OLD, "created_at": "0001-01-01T00:00:00+14:00"}, "created_at", "time"),
        ({"user_name": "a", "password_hash": OLD, "gruop": "admin"}, "gruop", "no such field"),
    ],
)
def test_what_breaks_a_rule_is_named_by_line_and_rule(
    here: Commands, entry: dict[str, Any], field: str, rule: str
) -> None:
    """An entry that is wrong is told with its line and each rule it breaks, and never with a password or a hash."""
    told = here.bring(lines({"user_name": "fine", "password_hash": OLD}) + "\n" + lines(entry))
    assert counts(told) == {"created": 1, "failed": 1}
    [result] = told["results"]
    assert result["place"] == 3
    assert rule in " ".join(result["rules"][field])
    assert PASSWORD not in json.dumps(told)
    assert OLD not in json.dumps(told)
    assert set(here.users()) == {"fine"}


def test_passwordless_users_are_taken_when_they_are_wanted(here: Commands, make_api: MakeApi) -> None:
    """With ``--passwordless``, or ``null`` for its hash, a user is there and cannot log in until it has a password."""
    told = here.bring(lines({"user_name": "ann"}, {"user_name": "bob", "password_hash": None}), "--passwordless")
    assert counts(told) == {"created": 2}
    api = make_api(here.environment)
    assert api.get("/ann", ("ann", "")).status_code == 401
    assert api.put("/ann/update", {"password": PASSWORD}).status_code == 200
    assert api.get("/ann", ("ann", PASSWORD)).status_code == 200


def test_a_password_of_over_72_bytes_goes_on_with_its_foreign_hash(here: Commands) -> None:
    """Bcrypt cannot hold it, so what was imported stays in service."""
    kept = "{SHA}250QAHODbJZRaQr1p0GS/mrxorY="
    here.bring(lines({"user_name": "ann", "password_hash": kept}))
    core = here.core()
    assert core.authenticator.basic("ann", Secret("0123456789" * 8), client_at("192.0.2.1")).user.user_name == "ann"
    core.close()
    assert here.users()["ann"].password_hash == kept
