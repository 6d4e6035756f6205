"""The connections to a SQLite file: calls take turns in using few, and none is open across a fork."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from models.storage import Store
from models.storage.sqlite.handles import MOST_IDLE, Handle, Handles
from models.storage.sqlite.lock import WriterQueue
from models.storage.sqlite.store import SqliteStore
from tests.storage.races import THREADS, counted, outcome, race
from tests.storage.stores import Address, find, make_user

MANY = 3 * MOST_IDLE


class Connection:
    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def taken(handles: Handles[Connection]) -> Handle[Connection]:
    handle = handles.take()
    if handle.connection is None:
        handle.connection = Connection()
    return handle


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> SqliteStore:
    store = open_prepared(sqlite_address)
    assert isinstance(store, SqliteStore)
    return store


def idle(store: SqliteStore) -> list[object]:
    return [handle.connection for handle in store._database._handles._idle]


def test_the_last_handle_given_back_is_the_next_taken() -> None:
    """So few are in use, and those remember much."""
    handles = Handles[Connection]()
    first, second = taken(handles), taken(handles)
    assert first is not second
    handles.give(first)
    handles.give(second)
    assert taken(handles) is second
    assert taken(handles) is first
    assert taken(handles) not in {first, second}


def test_idle_connections_are_few() -> None:
    """Of those that were in use at once, the ones given back last stay open, and the others are closed."""
    handles = Handles[Connection]()
    used = [taken(handles) for _ in range(MANY)]
    connections = [handle.connection for handle in used]
    for handle in used:
        handles.give(handle)
    assert [connection is not None and connection.is_open for connection in connections] == (
        [False] * (MANY - MOST_IDLE) + [True] * MOST_IDLE
    )


def test_threads_in_turn_use_one_connection(prepared: SqliteStore) -> None:
    """However many threads there are, and whether they read or write."""
    [before] = idle(prepared)
    for number in range(MANY):
        thread = threading.Thread(target=prepared.insert, args=([make_user(f"user{number}")], ()))
        thread.start()
        thread.join()
        assert idle(prepared) == [before]
    assert len(prepared.list_names(limit=MANY + 1)) == MANY


def test_threads_at_once_use_several(prepared: SqliteStore) -> None:
    """Each of the calls that run at the same time has a connection of its own; afterwards a few stay open."""
    prepared.insert([make_user("ann")], ())
    together = threading.Barrier(MANY)

    def read() -> int:
        with prepared._database.reading() as connection:
            together.wait(10)
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
            together.wait(10)
            return id(connection)

    assert len(set(race([read] * MANY))) == MANY
    assert len(idle(prepared)) == MOST_IDLE
    assert find(prepared, "ann") is not None


def test_waiting_writers_have_no_connection(prepared: SqliteStore, path: Path) -> None:
    """Those who wait for their turn leave the open connections to the readers."""
    queue = WriterQueue(path.with_name(path.name + ".lock"))
    with ThreadPoolExecutor(THREADS) as pool:
        with queue.turn(time.monotonic() + 5):
            writes = [pool.submit(prepared.insert, [make_user(f"user{number}")], ()) for number in range(THREADS)]
            assert not wait(writes, 0.2).done
            assert len(idle(prepared)) == 1
        assert [write.result() for write in writes] == [None] * THREADS
    assert len(idle(prepared)) == 1


def test_a_call_that_fails_gives_its_handle_back(prepared: SqliteStore) -> None:
    """Whatever is raised in it, nobody waits for it afterwards."""
    [before] = idle(prepared)
    with pytest.raises(RuntimeError), prepared._database.reading():
        raise RuntimeError
    with pytest.raises(RuntimeError), prepared._database.writing():
        raise RuntimeError
    with pytest.raises(ValueError, match="no store can hold"):
        prepared.insert([make_user("ann", name="\ud800")], ())
    assert idle(prepared) == [before]
    prepared.close()
    assert idle(prepared) == []


def test_closing_waits_for_calls_and_keeps_others_out() -> None:
    """Nothing is closed in use, and nothing is opened meanwhile."""
    handles = Handles[Connection]()
    running, leave = threading.Event(), threading.Event()

    def call() -> bool:
        with handles.running(), handles.taken() as handle:
            connection = handle.connection = handle.connection or Connection()
            running.set()
            leave.wait(10)
            return connection.is_open

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(call)
        running.wait(10)
        closing, closed, reopen = threading.Event(), threading.Event(), threading.Event()

        def close() -> bool:
            closing.set()
            with handles.all_idle():
                closed.set()
                reopen.wait(10)
                return len(handles._idle) == 0

        close_all = pool.submit(close)
        closing.wait(10)
        assert not closed.wait(0.1)
        second = pool.submit(call)
        assert not wait([second], 0.1).done
        leave.set()
        assert first.result(10)
        assert closed.wait(10)
        assert not wait([second], 0.1).done
        reopen.set()
        assert close_all.result(10)
        assert second.result(10)


def test_several_may_close_at_once() -> None:
    """Each of them finds no call running, and calls go on in between."""
    handles = Handles[Connection]()

    def close() -> None:
        for _ in range(50):
            with handles.all_idle():
                assert handles._begun == handles._ended
                assert handles._idle == []

    def call() -> None:
        for _ in range(50):
            with handles.running():
                handle = taken(handles)
                time.sleep(0)
                assert handle.connection is not None
                assert handle.connection.is_open
                handles.give(handle)

    assert counted(race([close, close, call, call, call, call])) == {None: 6}


def test_a_fork_waits_for_the_calls_that_run(prepared: SqliteStore) -> None:
    """Neither side has a connection of the other's, and both go on."""
    prepared.insert([make_user("ann")], ())
    running, leave = threading.Event(), threading.Event()

    def read() -> bool:
        with prepared._database.reading() as connection:
            running.set()
            assert leave.wait(10)
            found: tuple[int] = connection.execute("SELECT count(*) FROM users").fetchone()
            return found == (1,)

    def fork() -> int:
        child = os.fork()
        if child == 0:
            is_clean = prepared._database._handles._idle == []
            served = outcome(lambda: prepared.insert([make_user("child")], ())) is None
            os._exit(0 if is_clean and served and find(prepared, "ann") is not None else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(read)
        assert running.wait(10)
        forking = pool.submit(fork)
        assert not wait([forking], 0.2).done
        leave.set()
        assert reading.result(10)
        assert forking.result(20) == 0
    assert find(prepared, "child") is not None
