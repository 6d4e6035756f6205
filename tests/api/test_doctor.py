"""``doorman doctor``: what it finds, and that it leaves everything as it is."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from api.settings import Settings
from app import create_core
from models.errors import SetupError
from models.secret import Secret
from tests.api.commands import Commands
from tests.databases import Environment, dump
from tests.mongod import Mongod
from tests.storage.stores import opened

ROUNDS = "10"  # the least that is not warned of
NOTES = {"one_member", "no_authentication"}  # of the mongod of the tests


@pytest.fixture
def commands(environment: Environment, tmp_path: Path) -> Commands:
    """The commands over a store with an admin and a user who has everything."""
    commands = Commands(environment | {"BCRYPT_ROUNDS": ROUNDS}, tmp_path)
    prepare(commands)
    return commands


def prepare(commands: Commands) -> None:
    core = create_core(Settings.from_env(commands.environment))
    fields: Any = {
        "password": Secret("a fine password"),
        "token": Secret("a-token-of-ann-0"),
        "email": "ann@example.org",
    }
    core.accounts.create(None, "ann", fields)
    core.close()


def codes(commands: Commands, severity: str | None = None) -> set[str]:
    found = commands.run("doctor", "--json").lines()
    assert all(finding["message"] for finding in found)
    return {finding["code"] for finding in found if severity in {None, finding["severity"]}} - NOTES


@pytest.fixture
def sqlite_commands(sqlite_environment: Environment, tmp_path: Path) -> Commands:
    commands = Commands(sqlite_environment | {"BCRYPT_ROUNDS": ROUNDS}, tmp_path)
    prepare(commands)
    return commands


@pytest.fixture
def mongo_commands(mongod_environment: Environment, tmp_path: Path) -> Commands:
    commands = Commands(mongod_environment | {"BCRYPT_ROUNDS": ROUNDS}, tmp_path)
    prepare(commands)
    return commands


@pytest.fixture
def database(mongod_environment: Environment) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongod_environment["DATABASE_URL"]) as client:
        yield client[mongod_environment["DATABASE_NAME"]]


def starts(commands: Commands) -> bool:
    try:
        create_core(Settings.from_env(commands.environment)).close()
    except SetupError:
        return False
    return True


def test_a_store_in_order_has_nothing_to_mend(commands: Commands) -> None:
    """Status 0, and no more than notes; what is stored stays as it is, to the byte, and no file is made."""
    before, files = dump(commands.environment, commands.directory), set(commands.directory.iterdir())
    assert codes(commands) == set()
    done = commands.run("doctor")
    assert done.status == 0
    assert done.out == "nothing is wrong\n" or set(done.out.split(":")[0].split()) == {"note"}
    assert dump(commands.environment, commands.directory) == before
    assert set(commands.directory.iterdir()) == files


def test_a_running_service_is_examined(commands: Commands) -> None:
    """Beside a Doorman that has the store open, what it wrote last is seen, and it goes on."""
    core = commands.core()
    core.accounts.create(None, "bob", {"password": Secret("a fine password")})
    assert codes(commands | {"BCRYPT_ROUNDS": "11"}) == {"cheap_hashes"}
    core.accounts.create(None, "cid", {"password": Secret("a fine password")})
    assert codes(commands) == set()
    core.close()


@pytest.mark.new_database
def test_no_store_is_made(environment: Environment, tmp_path: Path) -> None:
    """Where there is no store yet, that is said, and there is none afterwards, nor a secret key."""
    commands = Commands(environment | {"BCRYPT_ROUNDS": ROUNDS}, tmp_path)
    del commands.environment["SECRET_KEY"]
    if environment["DATABASE_URL"].startswith("mongodb"):
        commands.environment["SECRET_KEY"] = "a secret key of this test run, and no other"
    found = codes(commands)
    assert found & {"no_database", "no_collections"}
    assert list(tmp_path.iterdir()) == []
    if environment["DATABASE_URL"].startswith("mongodb"):
        with MongoClient[dict[str, Any]](environment["DATABASE_URL"]) as client:
            assert client[environment["DATABASE_NAME"]].list_collection_names() == []


def test_a_store_that_is_away_is_status_3(tmp_path: Path) -> None:
    """A store that cannot be reached is a finding, and the status says to try again."""
    away = {"DATABASE_URL": "mongodb://127.0.0.1:1/", "SECRET_KEY": "a secret key of this test run, and no other"}
    done = Commands(away, tmp_path).run("doctor", "--json")
    assert (done.status, [finding["code"] for finding in done.lines()]) == (3, ["unavailable"])


def test_settings_that_are_wrong_are_listed(sqlite_environment: Environment, tmp_path: Path) -> None:
    """Each is a problem by its name; those that contradict each other, too."""
    wrong = sqlite_environment | {"PORT": "x", "TOKEN_DAYS": "0"}
    found = Commands(wrong, tmp_path).run("doctor", "--json").lines()
    assert [(one["code"], one["severity"], one["message"].split()[0]) for one in found] == [
        ("settings", "problem", "PORT"),
        ("settings", "problem", "TOKEN_DAYS"),
    ]
    contradicting = sqlite_environment | {"BASIC_AUTH_USER": ""}
    assert "BASIC_AUTH_USER and" in Commands(contradicting, tmp_path).run("doctor").out


def test_another_secret_key_is_told(commands: Commands) -> None:
    """A key that the store was not made with is a problem; one that is rotated is a note."""
    other = "another key, of more than thirty-two bytes"
    former = commands.environment["SECRET_KEY"]
    assert codes(commands | {"SECRET_KEY": other}, "problem") == {"other_secret_key"}
    rotated = commands | {"SECRET_KEY": other, "SECRET_KEY_PREVIOUS": former}
    assert codes(rotated, "note") == {"secret_key_rotates"}


def test_a_lost_secret_key_is_told(sqlite_commands: Commands, tmp_path: Path) -> None:
    """A database whose key is not beside it is a problem, and one that others may read is warned of."""
    del sqlite_commands.environment["SECRET_KEY"]
    assert codes(sqlite_commands, "problem") == {"secret_key"}
    key = tmp_path / "doorman.db.secret-key"
    key.write_text("k" * 4 + "abcdefghijklmnopqrstuvwxyz0123456789")
    key.chmod(0o644)
    assert codes(sqlite_commands, "warning") == {"secret_key"}
    assert codes(sqlite_commands, "problem") == {"other_secret_key"}


FILE_SPOILS: dict[str, tuple[str, str, bool]] = {
    # what is done, the finding, and whether a start is refused
    "PRAGMA user_version = 99": ("other_schema", "problem", False),
    "PRAGMA application_id = 0": ("foreign_database", "problem", False),
    "DROP INDEX users_listed": ("damaged", "problem", False),
    "DROP TABLE failures": ("older_schema", "note", True),
    "ALTER TABLE records DROP COLUMN used_at": ("older_schema", "note", True),
    "DELETE FROM emails": ("lost_emails", "warning", True),
    "UPDATE emails SET user_id = 'nobody'": ("stale_emails", "warning", True),
    "DELETE FROM tokens": ("lost_tokens", "warning", True),
    "INSERT INTO tokens VALUES ('another', 'nobody')": ("stale_tokens", "warning", True),
    "UPDATE users SET user_group = 'king' WHERE user_name = 'ann'": ("foreign_users", "problem", True),
    "UPDATE users SET token_digests = 'x' WHERE user_name = 'ann'": ("foreign_users", "problem", True),
    "UPDATE users SET disabled = 1 WHERE user_name = 'root'": ("no_admin", "warning", False),
    "UPDATE users SET password_hash = '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=' WHERE user_name = 'ann'": (
        "weak_hashes",
        "warning",
        True,
    ),
    "UPDATE users SET password_hash = '$6$salt$x' WHERE user_name = 'ann'": ("foreign_hashes", "note", True),
    "INSERT INTO records VALUES ('session', 'x', 1, 'u', 0, 'no JSON', 1, 1)": ("foreign_records", "warning", True),
}


def test_what_is_wrong_with_a_file_is_told(sqlite_commands: Commands, tmp_path: Path) -> None:
    """Each has a code and a severity, and whatever stops the next start is a problem."""
    path = tmp_path / "doorman.db"
    whole = path.read_bytes()
    for spoil, (code, severity, goes_on) in FILE_SPOILS.items():
        with opened(path) as connection:
            connection.execute(spoil)
        ran = sqlite_commands.run("doctor", "--json")
        assert (code, severity) in {(one["code"], one["severity"]) for one in ran.lines()}, spoil
        assert ran.status == (0 if severity == "note" else 1), spoil
        assert starts(sqlite_commands) == goes_on, spoil
        path.write_bytes(whole)


def test_rubbish_is_damage(sqlite_commands: Commands, tmp_path: Path) -> None:
    """A file that is cut short, full of rubbish or none at all is a problem, and is left as it is."""
    path = tmp_path / "doorman.db"
    whole = path.read_bytes()
    for spoiled, code in (
        (whole[: len(whole) // 8192 * 4096], "damaged"),
        (whole[:4096] + os.urandom(len(whole) - 4096), "damaged"),
        (b"x" * 9000, "damaged"),
        (b"", "foreign_database"),
    ):
        path.write_bytes(spoiled)
        assert code in codes(sqlite_commands, "problem")
        assert path.read_bytes() == spoiled
        assert sqlite_commands.run("doctor").status == 1


def test_the_files_rights_are_looked_at(sqlite_commands: Commands, tmp_path: Path) -> None:
    """What others may read is warned of, and so are logs that were kept of a former file."""
    (tmp_path / "doorman.db").chmod(0o644)
    tmp_path.chmod(0o755)
    (tmp_path / "doorman.db-wal.orphaned-1-2").touch()
    assert codes(sqlite_commands, "warning") == {"open_files", "orphaned_logs"}


def no_index(database: Database[dict[str, Any]]) -> None:
    database["users"].drop_index("listed")


def replaced(database: Database[dict[str, Any]]) -> None:
    database["users"].drop_index("listed")
    database["users"].create_index("x", name="listed")


Spoil = Callable[[Database[dict[str, Any]]], object]


def duplicate(database: Database[dict[str, Any]]) -> None:
    database["users"].drop_index("name")
    user = database["users"].find_one({"name_key": "ann"}) or {}
    database["users"].insert_one({key: value for key, value in user.items() if key != "_id"} | {"email_key": None})


MONGO_SPOILS: dict[str, tuple[Spoil, set[str], str, bool]] = {
    "duplicates": (duplicate, {"duplicate_names", "lost_tokens", "missing_indexes"}, "problem warning", False),
    "no index": (no_index, {"missing_indexes"}, "warning", True),
    "another index": (
        replaced,
        {"foreign_index", "missing_indexes"},
        "problem warning",
        False,
    ),
    "unique": (
        lambda database: database["users"].create_index("email", unique=True),
        {"dangerous_index"},
        "problem",
        True,
    ),
    "forgetting": (
        lambda database: database["users"].create_index("updated_at", expireAfterSeconds=10**8),
        {"dangerous_index"},
        "problem",
        True,
    ),
    "another's index": (lambda database: database["users"].create_index("name"), {"extra_index"}, "note", True),
    "validator": (
        lambda database: database.command("collMod", "users", validator={"x": {"$exists": False}}),
        {"validator"},
        "warning",
        True,
    ),
    "guard": (
        lambda database: database["guard"].update_one({}, {"$set": {"n": 7}}),
        {"wrong_guard"},
        "warning",
        True,
    ),
    "lost guard": (lambda database: database["guard"].delete_many({}), {"wrong_guard"}, "warning", True),
    "another make": (
        lambda database: database["users"].update_one({"name_key": "ann"}, {"$unset": {"revision": 1}}),
        {"foreign_users"},
        "problem",
        True,
    ),
    "vanished user": (
        lambda database: database["users"].delete_one({"name_key": "ann"}),
        {"stale_emails", "stale_tokens"},
        "warning",
        True,
    ),
    "lost pointers": (
        lambda database: (database["emails"].delete_many({}), database["tokens"].delete_many({})),
        {"lost_emails", "lost_tokens"},
        "warning",
        True,
    ),
    "pointers to others": (
        lambda database: database["emails"].update_many({}, {"$set": {"user_id": 5}}),
        {"lost_emails", "stale_emails"},
        "warning",
        True,
    ),
    "record": (lambda database: database["records"].insert_one({"_id": 5}), {"foreign_records"}, "warning", True),
}


def test_what_is_wrong_with_a_database_is_told(mongo_commands: Commands, database: Database[dict[str, Any]]) -> None:
    """Each has a code and a severity, whatever stops the next start is a problem, and nothing is written."""
    kept = {name: list(database[name].find()) for name in database.list_collection_names()}
    for name, (spoil, wanted, severities, goes_on) in MONGO_SPOILS.items():
        spoil(database)
        before = dump(mongo_commands.environment, mongo_commands.directory)
        found = [one for one in mongo_commands.run("doctor", "--json").lines() if one["code"] not in NOTES]
        assert {one["code"] for one in found} == wanted, name
        assert {one["severity"] for one in found} == set(severities.split()), name
        assert dump(mongo_commands.environment, mongo_commands.directory) == before, name
        assert starts(mongo_commands) == goes_on, name
        database.command("collMod", "users", validator={})
        for collection, documents in kept.items():
            database[collection].delete_many({})
            if documents:
                database[collection].insert_many(documents)
        own = {"_id_", "name", "listed", "listed_by_group"}
        for index in database["users"].list_indexes():
            if index["name"] not in own or "x" in index["key"]:
                database["users"].drop_index(index["name"])
        assert starts(mongo_commands), name


@pytest.mark.new_database
def test_a_collection_of_another_make_is_told(
    mongod_environment: Environment, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """It stops the start, and the examination, which cannot read it as it is."""
    database.command("create", "users", collation={"locale": "en", "strength": 2})
    commands = Commands(mongod_environment | {"BCRYPT_ROUNDS": ROUNDS}, tmp_path)
    assert codes(commands) == {"foreign_collection"}
    assert not starts(commands)


def test_a_standalone_server_is_told(
    own_mongod: Callable[..., Mongod], mongod_environment: Environment, tmp_path: Path
) -> None:
    """It cannot serve, and what to do is said as a start says it."""
    alone = own_mongod(replica_set=None)
    commands = Commands(mongod_environment | {"BCRYPT_ROUNDS": ROUNDS, "DATABASE_URL": alone.uri}, tmp_path)
    done = commands.run("doctor")
    assert done.status == 1
    assert "rs.initiate()" in done.out


def test_what_is_stored_cannot_forge_what_is_told(mongo_commands: Commands, database: Database[dict[str, Any]]) -> None:
    """Examples are shown with escapes in the place of what a terminal obeys."""
    database["records"].insert_one({"_id": "\x1b[2J\nproblem: none"})
    out = mongo_commands.run("doctor").out
    assert "\x1b" not in out
    assert "\\x1b[2J\\nproblem: none" in out
