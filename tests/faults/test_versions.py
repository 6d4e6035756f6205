"""Upgrades: what an earlier Doorman wrote, served by this one; and both at once on one store."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.api.commands import Commands
from tests.databases import Environment
from tests.faults.earlier import OPEN, PASSWORD, doors, earlier_commit, load, log_out, make_admin, running_code, unpack
from tests.faults.extent import extent
from tests.running import Doorman
from tests.storage.stores import opened

ROUNDS = extent(3, 60)  # of changes that both make to one user


def key_of(jwt: str) -> object:
    """Return the id of the key that has signed a token."""
    header = jwt.split(".", maxsplit=1)[0]
    return json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]


def severities(environment: Environment, directory: Path) -> dict[str, str]:
    found = Commands(environment | {"BCRYPT_ROUNDS": "10"}, directory).run("doctor", "--json").lines()
    return {one["code"]: one["severity"] for one in found}


def test_what_an_earlier_doorman_wrote_is_served(
    environment: Environment, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> None:
    """Its users log in, its tokens, sessions and user keys open, its signing keys are known; the doctor is content."""
    ann, bob = load(environment)
    # What was loaded is documents alone.
    found = severities(environment, tmp_path)
    assert {code for code, severity in found.items() if severity != "note"} <= {"missing_indexes"}
    doorman = serve(environment)
    # What a token says of its own end cannot be moved on.
    lasting = OPEN.keys() - {"jwt"}
    for known in (ann, bob):
        answers = doors(known, doorman)
        assert {door: answers[door] for door in lasting} == {door: OPEN[door] for door in lasting}
    keys = httpx.get(f"{doorman.url}/.well-known/jwks.json").json()["keys"]
    assert {key_of(ann.jwt), key_of(bob.jwt)} <= {key["kid"] for key in keys}
    assert doorman.call("PUT", "/ann/update", json={"password": "another password"}).status_code == 200
    assert doors(ann, doorman)["user key"] == 401
    assert log_out(bob, doorman) == 200
    assert doorman.call("DELETE", "/bob").status_code == 200
    assert doorman.call("GET").json() == {"users": ["ann", "root"]}
    assert set(severities(environment, tmp_path).values()) <= {"note"}
    assert "Traceback" not in doorman.log


@pytest.fixture(scope="module")
def earlier_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(earlier_commit(), tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def both(
    environment: Environment, earlier_code: Path, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> Iterator[tuple[Doorman, Doorman]]:
    """An earlier Doorman, which began, and this one, started beside it."""
    with ExitStack() as ends:
        earlier = ends.enter_context(running_code(earlier_code, environment, tmp_path))
        yield earlier, serve(environment)


def fields_of(environment: Environment, name: str) -> dict[str, Any]:
    """Return all that the store has of a user, also what only one version knows."""
    if environment["DATABASE_URL"].startswith("sqlite"):
        with opened(Path(environment["DATABASE_URL"].removeprefix("sqlite:///"))) as connection:
            found = connection.execute("SELECT * FROM users WHERE name_key = ?", (name,))
            return dict(zip([column for column, *_ in found.description], found.fetchone(), strict=True))
    with MongoClient[dict[str, Any]](environment["DATABASE_URL"]) as client:
        return client[environment["DATABASE_NAME"]]["users"].find_one({"name_key": name}) or {}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("environment", extent(["mongod"], ["sqlite", "mongod"]), indirect=True)
def test_two_versions_serve_one_store(
    both: tuple[Doorman, Doorman],
    environment: Environment,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """What either has made opens at both; neither undoes what the other wrote, nor drops what it does not know."""
    earlier, current = both
    made = {make_admin(earlier, name) for name in ("ann", "bob")} | {
        make_admin(current, name) for name in ("cid", "dan")
    }
    for known in extent([one for one in made if one.name in {"ann", "cid"}], sorted(made, key=repr)):
        assert [doors(known, doorman) for doorman in both] == [OPEN, OPEN], known.name

    # In turns: each reads what the other wrote, and changes another field of it.
    for number in range(ROUNDS):
        first, second = both if number % 2 else both[::-1]
        assert first.call("PUT", "/ann/update", json={"name": f"Ann {number}"}).status_code == 200
        before = fields_of(environment, "ann")
        etag = first.call("GET", "/ann").headers["ETag"]
        assert second.call("PUT", "/ann/update", json={"email": f"ann{number}@example.org"}).status_code == 200
        after = fields_of(environment, "ann")
        assert after.keys() == before.keys()
        assert {name for name in after if after[name] != before[name]} <= {
            "email",
            "email_key",
            "revision",
            "updated_at",
        }
        stale = first.call("PUT", "/ann/update", json={"name": "late"}, headers={"If-Match": etag})
        assert stale.status_code == 412

    # At once: no change of another field is lost.
    def change(number: int) -> int:
        fields = {"name": "Both"} if number % 2 else {"user_group": "admin"}
        return both[number % 2].call("PUT", "/bob/update", json=fields).status_code

    revision = fields_of(environment, "bob")["revision"]
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(change, range(4 * ROUNDS))) == {200}
    found = fields_of(environment, "bob")
    assert (found["name"], found["email"], found["revision"]) == ("Both", "bob@example.org", revision + 4 * ROUNDS)
    record_property("changes by both of one user", 4 * ROUNDS)
    record_property("of them lost", revision + 4 * ROUNDS - found["revision"])

    # What one ends, the other refuses.
    ann, bob, cid, dan = sorted(made, key=lambda known: known.name)
    for doorman, other, known in ((earlier, current, cid), (current, earlier, ann)):
        assert doorman.call("PUT", f"/{known.name}/update", json={"password": "another password"}).status_code == 200
        answers = doors(known, other)
        assert (answers["password"], answers["user key"], answers["jwt"], answers["sessions"]) == (401, 401, 401, 0)
    assert [log_out(bob, current), log_out(bob, earlier)] == [200, 401]
    assert current.call("DELETE", "/bob").status_code == earlier.call("DELETE", "/dan").status_code == 200
    assert [doorman.call("GET").json() for doorman in both] == [{"users": ["ann", "cid", "root"]}] * 2
    assert doors(dan, current)["token"] == doors(bob, earlier)["token"] == 401
    assert set(severities(environment, tmp_path).values()) <= {"note"}
    assert "Traceback" not in earlier.log + current.log
    assert PASSWORD not in earlier.log + current.log
