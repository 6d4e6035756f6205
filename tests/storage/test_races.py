"""What every store does when several want the same: exactly one gets it, and the losers leave nothing behind."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from models.errors import (
    EmailInUseError,
    LastAdminError,
    RevisionMismatchError,
    TokenInUseError,
    UserExistsError,
)
from models.storage import Store
from models.user import User
from tests.storage.races import PROCESSES, THREADS, Processes, counted, outcome, race
from tests.storage.stores import NOW, Address, find, make_admin, make_user, open_store, with_email

RACES = 200
RACERS = PROCESSES * 2

OpenPrepared = Callable[[Address], Store]


def same_name(number: int) -> User:
    return with_email(make_user("ann", token_digests=(f"token {number}",)), f"{number}@x.org")


def same_email(number: int) -> User:
    return with_email(make_user(f"user{number}"), "one@x.org")


def same_token(number: int) -> User:
    return with_email(make_user(f"user{number}", token_digests=("one",)), f"{number}@x.org")


def insert_same_name(store: Store, number: int) -> Any:
    return store.insert([same_name(number)], ())


def insert_same_email(store: Store, number: int) -> Any:
    return store.insert([same_email(number)], ())


def insert_same_token(store: Store, number: int) -> Any:
    return store.insert([same_token(number)], ())


SAME = pytest.mark.parametrize(
    ("act", "make", "error"),
    [
        (insert_same_name, same_name, UserExistsError),
        (insert_same_email, same_email, EmailInUseError),
        (insert_same_token, same_token, TokenInUseError),
    ],
    ids=["name", "email", "token"],
)


def assert_losers_left_nothing(store: Store, make: Callable[[int], User], racers: int) -> None:
    """Once the winner is gone, everything that anyone asked for can be had by somebody new."""
    [winner] = store.list_names(limit=2)
    found = find(store, winner.name_key)
    assert found is not None
    store.delete(found, ())
    for number in range(racers):
        user = make(number)
        store.insert([user], ())
        store.delete(user, ())


@SAME
def test_one_of_many_threads_wins(
    durable_store: Store, act: Callable[[Store, int], Any], make: Callable[[int], User], error: type[Exception]
) -> None:
    """Of eight threads that insert the same name, address or token, one succeeds."""
    outcomes = race([partial(act, durable_store, number) for number in range(THREADS)])
    assert counted(outcomes) == {None: 1, error: THREADS - 1}
    assert_losers_left_nothing(durable_store, make, THREADS)


@SAME
def test_one_of_many_processes_wins(  # noqa: PLR0917 - pytest passes them by name.
    address: Address,
    durable_store: Store,
    racing_processes: Processes,
    act: Callable[[Store, int], Any],
    make: Callable[[int], User],
    error: type[Exception],
) -> None:
    """Of four processes with two threads each that insert the same name, address or token, one succeeds."""
    outcomes = racing_processes.race(address, act)
    assert counted(outcomes) == {None: 1, error: RACERS - 1}
    assert_losers_left_nothing(durable_store, make, RACERS)


def test_each_revision_is_given_once(durable_store: Store) -> None:
    """Eight threads that each change one user ten times make eighty revisions, and none is lost."""
    durable_store.insert([make_user("ann")], ())

    def change_ten_times() -> list[int]:
        given: list[int] = []
        while len(given) < 10:
            before = find(durable_store, "ann")
            assert before is not None
            after = before.changed(NOW, name=str(before.revision))
            if outcome(lambda: durable_store.replace(before, after, ())) is not RevisionMismatchError:  # noqa: B023 - It is called at once.
                given.append(after.revision)
        return given

    revisions = [revision for given in race([change_ten_times] * THREADS) for revision in given]
    assert sorted(revisions) == list(range(2, 10 * THREADS + 2))


def insert_first_admin(store: Store, number: int) -> bool:
    return store.insert_first_admin(make_admin(f"root{number}"), ())


def test_one_thread_makes_the_first_admin(durable_store: Store) -> None:
    """Of eight threads that each add a first admin, one does."""
    outcomes = race([partial(insert_first_admin, durable_store, number) for number in range(THREADS)])
    assert counted(outcomes) == {True: 1, False: THREADS - 1}
    assert len(durable_store.list_names(limit=2)) == 1


def test_one_process_makes_the_first_admin(address: Address, durable_store: Store, racing_processes: Processes) -> None:
    """Of four processes with two threads each that add a first admin, one does."""
    outcomes = racing_processes.race(address, insert_first_admin)
    assert counted(outcomes) == {True: 1, False: RACERS - 1}
    assert len(durable_store.list_names(limit=2)) == 1


def adopt(store: Store, number: int) -> bool:
    return store.adopt_key_id(f"key{number}", known=[])


def test_one_thread_records_its_key(durable_store: Store) -> None:
    """Of eight first starts with different keys, one records its own."""
    outcomes = race([partial(adopt, durable_store, number) for number in range(THREADS)])
    assert counted(outcomes) == {True: 1, False: THREADS - 1}


def test_one_process_records_its_key(address: Address, durable_store: Store, racing_processes: Processes) -> None:
    """Of first starts in four processes, one records its own."""
    assert counted(racing_processes.race(address, adopt)) == {True: 1, False: RACERS - 1}


def prepare_and_insert(store: Store, number: int) -> None:
    store.prepare()
    store.insert([make_user(f"user{number}")], ())


def prepare_and_adopt(store: Store, number: int) -> bool:
    store.prepare()
    return store.insert_first_admin(make_admin(f"root{number}"), ())


@pytest.mark.new_database
def test_threads_prepare_one_store(address: Address) -> None:
    """Eight threads may prepare the same new database at once, and go on to use it."""
    store = open_store(address)
    try:
        outcomes = race([partial(prepare_and_insert, store, number) for number in range(THREADS)])
        assert counted(outcomes) == {None: THREADS}
    finally:
        store.close()


@pytest.mark.new_database
def test_processes_prepare_one_store(address: Address, racing_processes: Processes) -> None:
    """Four processes may prepare the same new database at once; one of them makes the first admin."""
    outcomes = racing_processes.race(address, prepare_and_adopt)
    assert counted(outcomes) == {True: 1, False: RACERS - 1}


def test_one_of_two_admins_remains(durable_store: Store) -> None:
    """Two admins who remove, demote or disable each other or themselves at the same moment never both succeed."""
    ways: list[Callable[[User], Any]] = [
        lambda user: durable_store.delete(user, ()),
        lambda user: durable_store.replace(user, user.changed(NOW, user_group="noob"), ()),
        lambda user: durable_store.replace(user, user.changed(NOW, disabled=True), ()),
    ]
    one, other = make_admin("one"), make_admin("other")
    durable_store.insert([one, other], ())
    for number in range(RACES):
        first, second = ways[number % 3], ways[number // 3 % 3]
        outcomes = race([partial(first, one), partial(second, other)])
        assert counted(outcomes) == {None: 1, LastAdminError: 1}
        assert durable_store.has_admin()
        # The loser is an admin still; the winner's victim makes place for a new one.
        gone = one if outcomes[0] is None else other
        left = find(durable_store, gone.name_key)
        if left is not None:
            durable_store.delete(left, ())
        fresh = make_admin(gone.user_name)
        durable_store.insert([fresh], ())
        one, other = (fresh, other) if gone is one else (one, fresh)


def test_a_child_uses_a_connection_of_its_own(address: Address, durable_store: Store) -> None:
    """A forked child can use the store that its parent has used, and the parent can go on."""
    durable_store.insert([make_user("parent")], ())
    child = os.fork()
    if child == 0:
        try:
            durable_store.insert([make_user("child")], ())
            found = find(durable_store, "parent") is not None
        except BaseException:  # noqa: BLE001 - Nothing may get from the child into pytest.
            found = False
        os._exit(0 if found else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert find(durable_store, "child") is not None
    durable_store.insert([make_user("again")], ())


def test_a_fork_may_happen_while_threads_write(sqlite_address: Address, open_prepared: OpenPrepared) -> None:
    """Neither the child nor the parent's other threads hang, and no write is lost."""
    store = open_prepared(sqlite_address)

    def write(first: int) -> None:
        for number in range(20):
            store.insert([make_user(f"user{first}-{number}")], ())

    def fork() -> list[int]:
        return [_insert_in_child(store, f"child{number}") for number in range(5)]

    outcomes = race([*(partial(write, first) for first in range(4)), fork])
    assert outcomes == [None] * 4 + [[0] * 5]
    assert len(store.list_names(limit=100)) == 4 * 20 + 5


def _insert_in_child(store: Store, name: str) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0 if outcome(lambda: store.insert([make_user(name)], ())) is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
