"""A MongoDB that is not there yet, slow, or changed by another program: what a start says, and the doctor."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.api.commands import Commands
from tests.api.small_app import until
from tests.databases import Environment
from tests.faults.clients_at_work import AtWork
from tests.faults.extent import extent
from tests.faults.slow_links import slow_link
from tests.mongod import Mongod, RunningMongod, free_port
from tests.running import Doorman, run_doorman, running

SECONDS = extent(0.5, 8.0)
SLOW, TOO_SLOW = 0.02, 8.0  # seconds for each message; a call has three in all


@pytest.fixture
def database(mongod_environment: Environment) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongod_environment["DATABASE_URL"]) as client:
        yield client[mongod_environment["DATABASE_NAME"]]


def port_of(mongod: Mongod | RunningMongod) -> int:
    return int(re.findall(r":(\d+)", mongod.uri)[0])


def start(environment: Environment, directory: Path) -> "subprocess.CompletedProcess[str]":
    return run_doorman("serve", environment=environment | {"PORT": str(free_port())}, cwd=directory)


def severities(environment: Environment, directory: Path) -> dict[str, str]:
    found = Commands(environment, directory).run("doctor", "--json").lines()
    return {one["code"]: one["severity"] for one in found}


@pytest.mark.timeout(300)
def test_a_slow_link_is_told_and_passes(
    mongod: Mongod | RunningMongod,
    mongod_environment: Environment,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """A link that is slow only slows; one that is too slow is 503 in time; neither loses what was acknowledged."""
    with slow_link(port_of(mongod)) as link:
        environment = mongod_environment | {"DATABASE_URL": link.uri}
        with running(environment, tmp_path) as doorman:
            slowed, late, after = AtWork(doorman), AtWork(doorman), AtWork(doorman)
            link.delay = SLOW
            with slowed.going_on(SECONDS):
                pass
            link.delay = TOO_SLOW
            with late.going_on(SECONDS):
                pass
            log = doorman.log
            away = Commands(environment, tmp_path).run("doctor", "--json") if extent(short=False, full=True) else None
            link.delay = 0.0
            until(lambda: doorman.call("GET", "/root").status_code == 200, "the recovery")
            with after.going_on(SECONDS):
                pass
            names = set(doorman.call("GET").json()["users"])
            assert "Traceback" not in doorman.log
    assert slowed.writes.statuses.keys() == slowed.reads.statuses.keys() == {200}
    assert late.writes.statuses[503] > 0
    assert late.writes.statuses.keys() | late.reads.statuses.keys() <= {200, 503}
    assert late.writes.odd == late.reads.odd == []
    assert max(late.writes.slowest, late.reads.slowest) < 5
    assert after.writes.statuses.keys() == after.reads.statuses.keys() == {200}
    assert log.count("Answered 503: ") >= 1
    assert away is None or away.status == 3
    acknowledged = [*slowed.acknowledged, *late.acknowledged, *after.acknowledged]
    record_property("acknowledged writes", len(acknowledged))
    record_property("of them lost", len(set(acknowledged) - names))
    record_property("slowest refusal", f"{max(late.writes.slowest, late.reads.slowest):.1f} s")
    assert set(acknowledged) <= names


def test_a_start_waits_for_no_mongodb_and_says_so(
    mongod: Mongod | RunningMongod, mongod_environment: Environment, tmp_path: Path
) -> None:
    """Without MongoDB a start ends with status 3 and one line, as does the doctor; with it the next one serves."""
    with slow_link(free_port()) as link:
        environment = mongod_environment | {"DATABASE_URL": link.uri}
        ended = start(environment, tmp_path)
        assert (ended.returncode, ended.stderr.count("\n")) == (3, 1), ended.stderr
        assert "The store cannot be reached" in ended.stderr
        assert severities(environment, tmp_path)["unavailable"] == "problem"
        link.target = port_of(mongod)
        with running(environment, tmp_path) as doorman:
            assert doorman.call("GET").json() == {"users": ["root"]}


def test_an_index_that_was_dropped_is_made_again(
    mongod_environment: Environment,
    database: Database[dict[str, Any]],
    serve: Callable[[Environment], Doorman],
    tmp_path: Path,
) -> None:
    """While it is missing lists are 503 and the rest is served; the doctor says what is missing, a start makes it."""
    doorman = serve(mongod_environment)
    database["users"].drop_index("listed")
    assert doorman.call("GET", "/root").status_code == 200
    assert doorman.call("GET").status_code == 503
    assert severities(mongod_environment, tmp_path)["missing_indexes"] == "warning"
    assert doorman.stop() == 0
    assert serve(mongod_environment).call("GET").json() == {"users": ["root"]}
    assert "missing_indexes" not in severities(mongod_environment, tmp_path)


def test_names_that_another_program_doubled_are_listed(
    mongod_environment: Environment,
    database: Database[dict[str, Any]],
    serve: Callable[[Environment], Doorman],
    tmp_path: Path,
) -> None:
    """A start on them is refused by one line, the doctor names them, and once they are gone a start serves."""
    doorman = serve(mongod_environment)
    doorman.call("POST", "/ann", json={"password": "a fine password"})
    doorman.stop()
    database["users"].drop_index("name")
    twin = database["users"].find_one({"name_key": "ann"}, {"_id": 0}) or {}
    added = database["users"].insert_one(twin)
    ended = start(mongod_environment, tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "doorman doctor" in ended.stderr
    found = Commands(mongod_environment, tmp_path).run("doctor", "--json").lines()
    assert [one["examples"] for one in found if one["code"] == "duplicate_names"] == [["ann"]]
    database["users"].delete_one({"_id": added.inserted_id})
    assert serve(mongod_environment).call("GET").json() == {"users": ["ann", "root"]}
    assert "duplicate_names" not in severities(mongod_environment, tmp_path)
