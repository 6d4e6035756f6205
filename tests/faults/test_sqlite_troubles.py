"""What befalls the SQLite file of a running Doorman, and of one that is being started."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.small_app import until
from tests.databases import Environment
from tests.faults.clients_at_work import AtWork
from tests.faults.extent import extent
from tests.faults.sqlite_troubles import AS_ANYBODY_ELSE, Trouble, cut_short, locked, newer, no_space, read_only
from tests.mongod import free_port
from tests.running import DOORMAN, START_SECONDS, Doorman, clean_environment, running
from tests.storage.stores import opened
from tests.workers import on_linux

pytestmark = on_linux

SECONDS = extent(0.4, 8.0)  # that each trouble lasts
WORKERS = 2
LOG_EVERY = 5.0  # seconds; each worker tells the like no more often


@pytest.fixture
def environment(sqlite_environment: Environment, tmp_path: Path) -> Environment:
    return sqlite_environment | {"DATABASE_URL": f"sqlite:///{tmp_path}/data/doorman.db", "WORKERS": str(WORKERS)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "doorman.db"


@pytest.fixture
def doorman(environment: Environment, tmp_path: Path) -> Iterator[Doorman]:
    doorman = Doorman(environment, tmp_path, through=AS_ANYBODY_ELSE)
    try:
        doorman.await_ready()
        yield doorman
    finally:
        doorman.kill()


def lost(path: Path, acknowledged: list[str]) -> int:
    """Return how many of these users the file lacks, which has to be whole."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return len(set(acknowledged) - {name for (name,) in connection.execute("SELECT user_name FROM users")})


def start(environment: Environment, directory: Path, through: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Start a Doorman that is expected to end by itself. Its coverage is not measured: that could not be written."""
    inherited = {name: value for name, value in clean_environment().items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [*through, DOORMAN, "serve"],
        env=inherited | environment | {"PORT": str(free_port())},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@dataclass(frozen=True)
class Expected:
    """What a trouble leads to: what the log says, how a start ends (``None``: not looked at), whether reads go on."""

    logged: str
    status: int | None
    reads: bool


EXPECTED: dict[Trouble, Expected] = {
    read_only: Expected("Permission denied|readonly database", 1, reads=True),
    no_space: Expected("disk I/O error|disk is full", None, reads=True),
    locked: Expected("(thread|process) is writing|database is locked", 3, reads=True),
    cut_short: Expected("was cut short", 1, reads=False),
    newer: Expected("schema 99", 1, reads=False),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "trouble", extent([read_only, no_space, cut_short], EXPECTED), ids=lambda trouble: trouble.__name__
)
def test_trouble_with_the_file_is_told_and_passes(  # noqa: PLR0917 - fixtures
    doorman: Doorman,
    environment: Environment,
    path: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    trouble: Trouble,
) -> None:
    """Writes are 503 in time, reads go on where they can, the log tells it rarely; it passes without a restart.

    A start beside it says the same in one line.
    """
    expected, before, during, after = EXPECTED[trouble], AtWork(doorman), AtWork(doorman), AtWork(doorman)
    with before.going_on(SECONDS / 2):
        pass
    begun = time.monotonic()
    with trouble(doorman, path):
        with during.going_on(SECONDS):
            pass
        lasted = time.monotonic() - begun
        log = doorman.log
        if expected.status is not None:
            ended = start(environment, tmp_path, AS_ANYBODY_ELSE)
            assert (ended.returncode, ended.stderr.count("\n")) == (expected.status, 1), ended.stderr
            assert re.search(expected.logged, ended.stderr) or trouble is newer, ended.stderr
    until(lambda: doorman.call("PUT", "/root/update", json={"name": "Root"}).status_code == 200, "the recovery")
    with after.going_on(SECONDS / 2):
        pass
    assert doorman.stop() == 0

    assert before.writes.statuses.keys() == before.reads.statuses.keys() == {200}
    assert during.writes.statuses[503] > 0
    assert during.writes.statuses.keys() <= {200, 503}  # the log has some space left, or may be begun anew
    assert during.reads.statuses.keys() <= ({200} if expected.reads else {200, 503})
    assert during.writes.odd == during.reads.odd == []
    assert during.writes.slowest < 5
    assert during.reads.slowest < 1
    assert after.writes.statuses.keys() == after.reads.statuses.keys() == {200}
    told = re.findall(f"Answered 503: .*({expected.logged})", log)
    assert 1 <= len(told) <= WORKERS * (1 + lasted / LOG_EVERY), log
    assert "Traceback" not in doorman.log
    acknowledged = [*before.acknowledged, *during.acknowledged, *after.acknowledged]
    record_property("acknowledged writes", len(acknowledged))
    record_property("of them lost", lost(path, acknowledged))
    record_property("writes refused", during.writes.statuses[503])
    record_property("slowest refusal", f"{during.writes.slowest:.2f} s")
    assert lost(path, acknowledged) == 0


WITHOUT_SPACE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_start_on_a_full_disk_says_so(environment: Environment, path: Path, tmp_path: Path) -> None:
    """A start that can write nothing ends with one line and damages nothing; so does a very first one."""
    through = [sys.executable, "-I", "-S", "-c", WITHOUT_SPACE]
    first = start(environment, tmp_path, through)
    assert (first.returncode, first.stderr.count("\n")) == (3, 1), first.stderr
    with running(environment, tmp_path) as doorman:
        doorman.call("POST", "/ann", json={"password": "a fine password"})
    later = start(environment, tmp_path, through)
    assert (later.returncode, later.stderr.count("\n")) == (3, 1), later.stderr
    assert "cannot be written to now" in later.stderr
    assert lost(path, ["root", "ann"]) == 0
    with running(environment, tmp_path) as doorman:
        assert doorman.call("GET").json() == {"users": ["ann", "root"]}


@pytest.mark.parametrize("has_log", extent([True], [False, True]))
def test_rubbish_in_the_file_is_mended_by_a_copy(
    environment: Environment,
    path: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    *,
    has_log: bool,
) -> None:
    """Rubbish is 503 and no start serves it; a copy, put in its place as the manual says, is served with all it had."""
    copy = tmp_path / "copy.db"
    with running(environment, tmp_path) as doorman:
        before = AtWork(doorman)
        with before.going_on(SECONDS):
            pass
        with opened(path) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(os.urandom(size))
        during = AtWork(doorman)
        with during.going_on(SECONDS):
            pass
        assert (during.writes.statuses + during.reads.statuses).keys() <= {200, 503}
        assert during.writes.odd == during.reads.odd == []
        assert "Traceback" not in doorman.log
        if not has_log:
            assert doorman.stop() == 0
    ended = start(environment, tmp_path, ())
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "restore a copy" in ended.stderr
    for name in ("-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    shutil.copyfile(copy, path)
    with running(environment, tmp_path) as doorman:
        assert doorman.call("POST", "/ann", json={"password": "a fine password"}).status_code == 200
    record_property("writes before the copy", len(before.acknowledged))
    record_property("of them lost", lost(path, before.acknowledged))
    assert lost(path, [*before.acknowledged, "ann"]) == 0
