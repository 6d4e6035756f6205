"""A SQLite file that is opened twice, copied, deleted or replaced while Doorman runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from models.errors import SetupError, UnavailableError
from models.storage import Store
from models.storage.sqlite.store import SqliteStore
from tests.storage.races import outcome, race
from tests.storage.stores import Address, find, make_user, opened

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(sqlite_address)


PREPARES_TWICE = """
import sys
from pathlib import Path
from models.storage.sqlite.store import SqliteStore
from tests.storage.stores import make_user

path = Path(sys.argv[1])
store = SqliteStore(path)
store.prepare()
store.insert([make_user("first")], ())
store.prepare()
SqliteStore(path).prepare()
print("prepared", flush=True)
sys.stdin.readline()
for number in range(50):
    store.insert([make_user(f"user{number:02}")], ())
print("inserted", flush=True)
sys.stdin.readline()
"""


def test_preparing_again_keeps_the_locks(path: Path) -> None:
    """After a second prepare in a process, another that closes the database does not take its log away."""
    command = [sys.executable, "-c", PREPARES_TWICE, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "prepared\n"
        with closing(SqliteStore(path)) as store:
            store.prepare()
            assert find(store, "first") is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "inserted\n"
        writer.kill()
    with closing(SqliteStore(path)) as store:
        assert len(store.list_names(limit=100)) == 51


def test_a_deleted_file_is_unavailable(prepared: Store, path: Path) -> None:
    """Nothing is acknowledged that nobody could find again, and no new database is begun beside the log of the old."""
    prepared.insert([make_user("ann")], ())
    path.unlink()
    with pytest.raises(UnavailableError, match="not there"):
        prepared.insert([make_user("bob")], ())
    with pytest.raises(UnavailableError, match="not there"):
        find(prepared, "ann")
    with closing(SqliteStore(path)) as started, pytest.raises(SetupError, match="is not there, but its log is"):
        started.prepare()
    assert not path.exists()


def copy_of(path: Path) -> Path:
    copy = path.with_name("copy.db")
    with opened(path) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    return copy


REPLACED = "was replaced: start Doorman anew"


def test_a_replaced_file_is_served_by_the_next_start_alone(prepared: Store, path: Path) -> None:
    """Until then every thread and process refuses it, and afterwards it has nothing of the former file's log."""
    prepared.insert([make_user("ann")], ())
    copy = copy_of(path)
    prepared.insert([make_user(f"lost{number}") for number in range(100)], ())
    copy.replace(path)
    assert set(race([lambda: prepared.list_names(limit=200)] * 4)) == {UnavailableError}
    with pytest.raises(UnavailableError, match=REPLACED):
        prepared.insert([make_user("bob")], ())
    with closing(SqliteStore(path)) as worker, pytest.raises(UnavailableError, match=REPLACED):
        find(worker, "ann")  # one that was started with the former file, and first asked now
    with closing(SqliteStore(path)) as started:
        started.prepare()
        started.insert([make_user("bob")], ())
        assert [row.user_name for row in started.list_names(limit=5)] == ["ann", "bob"]
        with pytest.raises(UnavailableError, match=REPLACED):
            prepared.insert([make_user("cid")], ())
        prepared.close()
        started.insert([make_user("dan")], ())
    with opened(path) as connection:
        assert connection.execute("SELECT user_name FROM users ORDER BY 1").fetchall() == [("ann",), ("bob",), ("dan",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


WRITES_AND_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from models.storage.sqlite.store import SqliteStore
from tests.storage.stores import make_user
store = SqliteStore(Path(sys.argv[1]))
store.prepare()
store.insert([make_user(f"late{number:03}") for number in range(200)], ())
os.kill(os.getpid(), signal.SIGKILL)
"""


def crashed_after_writing(path: Path) -> None:
    """Leave a log beside the database with what another process wrote right before it was killed."""
    subprocess.run([sys.executable, "-c", WRITES_AND_IS_KILLED, str(path)], cwd=ROOT, check=False)
    assert Path(f"{path}-wal").stat().st_size > 0


def test_a_copy_put_in_place_after_a_crash_is_not_spoiled(path: Path) -> None:
    """The log that the crash left is kept under another name, and not applied to the copy."""
    with closing(SqliteStore(path)) as store:
        store.prepare()
        store.insert([make_user("ann")], ())
    copy = copy_of(path)
    crashed_after_writing(path)
    copy.replace(path)
    with closing(SqliteStore(path)) as store:
        store.prepare()
        assert [row.user_name for row in store.list_names(limit=5)] == ["ann"]
    assert list(path.parent.glob("*.orphaned-*"))


def test_a_copy_with_its_own_log_is_whole(path: Path, tmp_path: Path) -> None:
    """A folder that was copied as it lay after a crash is served with what its log holds."""
    crashed_after_writing(path)
    place = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", path.parent, place], check=True)
    with closing(SqliteStore(place / path.name)) as store:
        store.prepare()
        assert len(store.list_names(limit=500)) == 200


def test_a_write_into_a_file_that_is_replaced_meanwhile_fails(prepared: Store, path: Path) -> None:
    """A change that would be committed to a file that is gone is undone and reported."""
    assert isinstance(prepared, SqliteStore)
    prepared.insert([make_user("ann")], ())
    copy = copy_of(path)
    with pytest.raises(UnavailableError, match=REPLACED), prepared._database.writing():
        copy.replace(path)
    prepared.prepare()
    assert find(prepared, "ann") is not None


def test_a_write_into_a_log_that_was_removed_fails(prepared: Store, path: Path) -> None:
    """What would be committed to a log that nobody finds again is reported, and not acknowledged, nor is it read."""
    prepared.insert([make_user("ann")], ())
    Path(f"{path}-wal").unlink()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="log was removed"):
            prepared.insert([make_user("bob")], ())
        with pytest.raises(UnavailableError, match="log was removed"):
            find(prepared, "ann")


def test_an_emptied_file_takes_no_writes(prepared: Store, path: Path) -> None:
    """Nothing is acknowledged whose only trace would be in a log without a database."""
    prepared.insert([make_user("ann")], ())
    os.truncate(path, 0)
    with pytest.raises(UnavailableError, match="is empty"):
        prepared.insert([make_user("bob")], ())


def test_the_log_is_written_down_whoever_made_it(path: Path) -> None:
    """What is recorded is the log of the last write, also when two processes' stores took turns in making one."""
    first, second = SqliteStore(path), SqliteStore(path)
    for number, store in enumerate([first, second, first]):
        store.prepare()
        store.insert([make_user(f"user{number}")], ())
        recorded = Path(f"{path}.lock").read_bytes()[:64].rstrip(b"\0").split()
        assert [int(part) for part in recorded] == [path.stat().st_ino, Path(f"{path}-wal").stat().st_ino]
        store.close()


def test_an_emptied_file_is_not_begun_anew(path: Path) -> None:
    """Where only the log is left of a database, no new one is made over it."""
    crashed_after_writing(path)
    os.truncate(path, 0)
    for _ in range(2):
        with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match="is empty, but its log is not"):
            store.prepare()
    assert Path(f"{path}-wal").stat().st_size > 0


def test_a_file_moved_away_and_back_is_served_again(prepared: Store, path: Path) -> None:
    """While it is away, and while another lies in its place, nothing is read or written; then all is as before."""
    prepared.insert([make_user("ann")], ())
    away = path.rename(path.with_name("away.db"))
    with pytest.raises(UnavailableError, match="not there"):
        find(prepared, "ann")
    path.touch()
    with pytest.raises(UnavailableError, match="is empty"):
        find(prepared, "ann")
    away.replace(path)
    prepared.insert([make_user("bob")], ())
    assert find(prepared, "ann") is not None


def test_rubbish_is_unavailable_until_it_is_gone(prepared: Store, path: Path) -> None:
    """Bytes written over the file make calls fail; once the good ones are back, all threads are served again."""
    users = [make_user(f"user{number:04}", token_hash="x" * 2000) for number in range(800)]
    for first in range(0, len(users), 200):
        prepared.insert(users[first : first + 200], ())
    with opened(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.with_name("good.db")
    # In another process: a descriptor that is closed in this one would take SQLite's locks away.
    subprocess.run(["cp", path, good], check=True)
    rubbish = path.with_name("rubbish")
    rubbish.write_bytes(os.urandom(path.stat().st_size))

    def find_all() -> set[object]:
        return {outcome(partial(find, prepared, user.name_key)) for user in users}

    overwrite = ["dd", "conv=notrunc", "bs=1M", "status=none", f"of={path}"]
    subprocess.run([*overwrite, f"if={rubbish}"], check=True)
    assert UnavailableError in find_all()
    with pytest.raises(UnavailableError):
        prepared.insert([make_user("ann")], ())
    subprocess.run([*overwrite, f"if={good}"], check=True)
    assert find_all() == set(users)
    prepared.insert([make_user("ann")], ())


def test_a_restored_copy_gets_a_log(path: Path) -> None:
    """A copy made with VACUUM INTO, which has no write-ahead log, has one after prepare."""
    with closing(SqliteStore(path)) as store:
        store.prepare()
        copy = copy_of(path)
        with opened(copy) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        copy.replace(path)
        store.prepare()
        with store._database.reading() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("PRAGMA user_version = 99", "newer Doorman"),
        ("PRAGMA user_version = -1", "no Doorman made"),
        ("PRAGMA user_version = 0", "no Doorman made"),
        ("PRAGMA application_id = 0", "another program"),
        ("DROP TABLE records", "lacks records, records_by_expiry, records_of_user"),
        ("DROP INDEX users_listed", "lacks users_listed"),
    ],
)
def test_a_database_that_is_not_as_it_was_made_is_refused(
    prepared: Store, path: Path, spoil: str, message: str
) -> None:
    """The message says what is wrong, and nothing is changed."""
    with opened(path) as connection:
        connection.execute(spoil)
    with pytest.raises(SetupError, match=message):
        prepared.prepare()
    with pytest.raises(SetupError, match=message):
        prepared.prepare()


def test_a_new_file_with_a_version_is_another_programs(path: Path) -> None:
    """An empty database that somebody has marked as theirs is left alone."""
    path.parent.mkdir()
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match="another program"):
        store.prepare()


def test_a_link_shares_the_lock(prepared: Store, path: Path, tmp_path: Path) -> None:
    """Who opens the database by a symbolic link waits in the same queue."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(link)) as store:
        store.prepare()
        store.insert([make_user("ann")], ())
    assert find(prepared, "ann") is not None
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("link")] == ["link.db"]
