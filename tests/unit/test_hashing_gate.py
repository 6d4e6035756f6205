"""The gate before bcrypt: what runs, who waits, and that no turn is ever lost."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import hashing_gate
from models.errors import UnavailableError
from models.hashing_gate import LOGINS_WAITING, HashingGate, slots_for
from tests.unit.gates import PATIENCE, Called, Gate


def test_only_so_many_hash_at_once() -> None:
    """Slots are taken at once; who comes then waits for one that is given back."""
    gate = Gate(2)
    one, two, three, four = gate.login(), gate.change(), gate.login(), gate.change()
    assert [request.hashing.is_set() for request in (one, two, three, four)] == [True, True, False, False]
    one.finish()
    two.finish()
    three.finish()
    four.finish()
    gate.assert_idle()


def test_logins_and_changes_take_turns() -> None:
    """Neither a flood of logins holds up changes, nor do many changes hold up logins; alone, each gets every turn."""
    gate = Gate(1)
    gate.login("first")
    kinds = {}
    for number in range(3):
        kinds[gate.login(f"network {number}")] = "login"
    for number in range(5):
        kinds[gate.change(f"user {number}")] = "change"
    order = [kinds[request] for request in gate.finish_in_order()[1:]]
    assert order[:6] == ["change", "login"] * 3
    assert order[6:] == ["change"] * 2
    gate.assert_idle()


def test_eight_parallel_changes_are_all_done() -> None:
    """An admin who creates users in parallel is not refused: all wait, and each gets its turn."""
    gate = Gate(1)
    changes = [gate.change("admin") for _ in range(8)]
    assert gate.finish_in_order() == changes
    assert not any(request.error for request in changes)
    gate.assert_idle()


def test_a_flood_from_one_network_leaves_room_for_the_others() -> None:
    """Past the capacity the flood is refused and displaced; one login of another network waits for one turn."""
    gate = Gate(1)
    flood = [gate.login("flood") for _ in range(LOGINS_WAITING + 3)]
    assert [request.error is not None for request in flood[-3:]] == [False, True, True]
    good = gate.login("good")
    assert flood[-3].ended.wait(PATIENCE)
    assert flood[-3].error is not None
    flood[0].finish()
    assert good.hashing.wait(PATIENCE)
    gate.finish_in_order()
    assert not good.error
    gate.assert_idle()


def test_the_flood_of_logins_takes_no_place_of_changes() -> None:
    """The two wait in queues of their own, each of its own length."""
    gate = Gate(1, logins=2, changes=3)
    logins = [gate.login("flood") for _ in range(5)]
    changes = [gate.change("admin") for _ in range(4)]
    assert [request.error is not None for request in logins] == [False, False, False, True, True]
    assert [request.error is not None for request in changes] == [False, False, False, True]
    gate.finish_in_order()
    gate.assert_idle()


def test_the_gates_figures() -> None:
    """Who hashes and who waits is told while it does; every turn is timed, and every refusal has its reason."""
    gate = Gate(1, logins=2)
    first, *others = [gate.login("flood") for _ in range(5)]
    assert gate.meter.gauges["doorman_hashing_running",] == 1
    assert gate.meter.gauges["doorman_hashing_waiting", "logins"] == 2
    assert gate.meter.counts["doorman_hashing_refused_total", "logins", "full"] == 2
    gate.login("somebody else")
    assert others[1].ended.wait(PATIENCE)
    assert gate.meter.counts["doorman_hashing_refused_total", "logins", "displaced"] == 1
    assert gate.finish_in_order()[0] is first
    gate.assert_idle()
    for name in ("doorman_hashing_wait_seconds", "doorman_hashing_seconds"):
        assert gate.meter.times == {**gate.meter.times, (name, "logins"): 3}


def test_who_has_fewer_failures_goes_first() -> None:
    """Of one network the failures order those who wait."""
    gate = Gate(1)
    gate.login("a")
    often, never, once = gate.login("a", 20), gate.login("a", 0), gate.login("a", 1)
    assert gate.finish_in_order()[1:] == [never, once, often]
    gate.assert_idle()


def test_who_waits_in_vain_is_refused_and_gone() -> None:
    """Whose time runs out is refused with a time to come back, and its turn goes to the next."""
    gate = Gate(1)
    first, late, patient = gate.login(), gate.login(), gate.login()
    late.expire()
    assert late.ended.wait(PATIENCE)
    assert late.error is not None
    assert late.error.retry_after >= 1
    assert gate.meter.counts["doorman_hashing_refused_total", "logins", "late"] == 1
    first.finish()
    patient.finish()
    gate.assert_idle()


@pytest.mark.parametrize("fate", ["called", "displaced"])
def test_a_time_out_that_meets_its_fate(fate: str) -> None:
    """Who is called while its time runs out takes the turn, and who is displaced then is refused; no turn is lost."""
    gate = Gate(1, logins=2)
    first, late, other = gate.login(), gate.login(), gate.login()
    expired, go_on = Event(), Event()

    def meanwhile() -> None:
        expired.set()
        assert go_on.wait(PATIENCE)

    victim = late if fate == "called" else other
    assert victim.waiter is not None
    assert isinstance(victim.waiter.called, Called)
    victim.waiter.called.after_expiry = meanwhile
    victim.expire()
    assert expired.wait(PATIENCE)
    if fate == "called":
        first.finish()
        go_on.set()
        assert late.hashing.wait(PATIENCE)
    else:
        gate.login("b")
        go_on.set()
        assert other.ended.wait(PATIENCE)
        assert other.error is not None
    gate.finish_in_order()
    gate.assert_idle()


def test_way_is_given_for_waiting_and_hashing() -> None:
    """Who waits, and who hashes, lets others use its thread; who is done or refused does not."""
    gate = Gate(1, logins=1)
    first = gate.login()
    assert gate.given_way == 1
    second = gate.login()
    assert gate.given_way == 2
    refused = gate.login()
    assert refused.ended.wait(PATIENCE)
    assert gate.given_way == 2
    first.finish()
    second.finish()
    gate.assert_idle()


def test_what_fails_while_it_hashes_gives_its_turn_back() -> None:
    """Any exception inside frees the slot, one that ends the thread as well."""
    gate = HashingGate(1)
    for error in (RuntimeError, SystemExit, UnavailableError):
        with pytest.raises(error), gate.login("a"):
            raise error("x")
    with pytest.raises(ZeroDivisionError), gate.change("u"):
        1 / 0  # noqa: B018 - it is meant to fail
    assert gate._free == 1


def test_a_turn_that_is_never_entered_is_not_taken() -> None:
    """Asking for a turn and not entering it costs nothing."""
    gate = HashingGate(1)
    gate.login("a")
    with gate.login("a"):
        assert gate._free == 0


def test_real_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a test's help, the patience is what ends the waiting."""
    monkeypatch.setattr(hashing_gate, "LOGIN_PATIENCE", 0.01)
    monkeypatch.setattr(hashing_gate, "CHANGE_PATIENCE", 0.01)
    gate = HashingGate(1)
    with gate.login("a"):
        for turn in (gate.login("b"), gate.change("u")):
            with pytest.raises(UnavailableError), turn:
                pytest.fail("there was one slot")
    with gate.change("u"):
        assert gate._free == 0


def test_many_threads_share_few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """With real threads and waits there are never more at it than slots, and none is lost in hundreds of turns."""
    monkeypatch.setattr(hashing_gate, "LOGIN_PATIENCE", PATIENCE)
    monkeypatch.setattr(hashing_gate, "CHANGE_PATIENCE", PATIENCE)
    gate = HashingGate(2)
    slots = [Lock(), Lock()]

    def hash_some(number: int) -> int:
        done = 0
        for round_ in range(40):
            with gate.login(f"{number % 4}") if (number + round_) % 2 else gate.change(f"{number}"):
                slot = next(slot for slot in slots if slot.acquire(blocking=False))
                done += 1
                slot.release()
        return done

    with ThreadPoolExecutor(12) as threads:
        assert sum(threads.map(hash_some, range(12))) == 12 * 40
    assert gate._free == 2


OPERATIONS = st.lists(st.sampled_from(["login", "login", "change", "finish", "finish", "expire"]), max_size=25)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS, st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_no_turn_is_lost(
    operations: Sequence[str], slots: int, logins: int, changes: int, chance: random.Random
) -> None:
    """Whatever comes, waits, gives up and finishes in whatever order, what runs and what is free make all slots."""
    gate = Gate(slots, logins=logins, changes=changes)
    for operation in operations:
        waiting = [request for request in gate.requests if not request.ended.is_set() and request.catch_up()]
        running = [request for request in gate.requests if gate.is_running(request)]
        assert gate.gate._free + len(running) == slots
        assert len(waiting) == len(gate.gate._logins) + len(gate.gate._changes)
        assert not (gate.gate._free and waiting)
        assert gate.given_way == len(waiting) + len(running)
        if operation == "login":
            gate.login(chance.choice("aaab"), chance.randrange(3))
        elif operation == "change":
            gate.change(chance.choice("uv"))
        elif operation == "finish" and running:
            chance.choice(running).finish()
        elif operation == "expire" and waiting:
            request = chance.choice(waiting)
            request.expire()
            assert request.ended.wait(PATIENCE)
    gate.finish_in_order()
    gate.assert_idle()


def test_slots_use_all_cores_and_leave_none_without() -> None:
    """Each process has at least one slot, and one process has them all."""
    assert slots_for(10_000) == 1
    assert slots_for(1) >= slots_for(2) >= 1
