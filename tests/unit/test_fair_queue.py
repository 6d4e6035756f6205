"""The queue before the gate: short, and fair between lanes."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from models import fair_queue
from models.fair_queue import FairQueue, Waiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A queue whose waiters have names, by which the order that they are called in is told."""

    def __init__(self, capacity: int = 8) -> None:
        self.clock = Clock()
        self.queue = FairQueue(capacity, self.clock)
        self.waiters: dict[str, Waiter] = {}

    def add(self, *names: str, rank: int = 0) -> list[bool]:
        """Queue up each of ``names``, whose first letter is the lane; return which were let in."""
        added = []
        for name in names:
            waiter = self.queue.add(name[0], rank)
            if waiter is not None:
                self.waiters[name] = waiter
            added.append(waiter is not None)
        return added

    def call(self, times: int = 1) -> list[str]:
        called: list[str] = []
        for _ in range(times):
            before = set(self.in_state(called=True))
            assert self.queue.call_next()
            called += set(self.in_state(called=True)) - before
        return called

    def in_state(self, *, called: bool = False, displaced: bool = False) -> list[str]:
        return [
            name
            for name, waiter in self.waiters.items()
            if (waiter.called.is_set(), waiter.displaced) == (called, displaced)
        ]


def test_one_lane_is_served_in_order() -> None:
    """Who came first is called first, and nobody when none wait."""
    served = Served()
    served.add("a1", "a2", "a3")
    assert served.call(3) == ["a1", "a2", "a3"]
    assert not served.queue.call_next()


def test_of_one_lane_the_lowest_rank_goes_first() -> None:
    """Within a lane those who have failed less overtake; of other lanes they do not."""
    served = Served()
    served.add("a1", "a2", rank=3)
    served.add("b1", rank=9)
    served.add("a3")
    assert served.call(4) == ["a3", "b1", "a1", "a2"]


def test_lanes_take_turns() -> None:
    """However many wait in one lane, the next turn is of the lane that was given the fewest."""
    served = Served()
    served.add("a1", "a2", "a3", "b1", "b2", "c1")
    assert served.call(6) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_turns_given_without_waiting_count() -> None:
    """A lane that was served much, even at once, waits behind one that was not, though it came first."""
    served = Served()
    for _ in range(5):
        served.queue.note_turn("a")
    served.queue.note_turn("b")
    served.add("a1", "b1", "c1", "b2")
    assert served.call(4) == ["c1", "b1", "b2", "a1"]


def test_what_was_given_fades() -> None:
    """After some minutes a lane that was served a thousand times is as good as new: who comes first goes first."""
    served = Served()
    for _ in range(1000):
        served.queue.note_turn("a")
    served.clock.now += 600
    served.queue.note_turn("b")
    served.add("b1", "a1")
    assert served.call() == ["a1"]


def test_a_flood_of_one_lane_does_not_fill_the_queue() -> None:
    """A thousand of one lane are refused past the capacity; each lane that comes then gets a place and a turn."""
    served = Served(capacity=8)
    assert served.add(*(f"a{number}" for number in range(1000))) == [True] * 8 + [False] * 992
    assert served.add("b1", "c1", "d1") == [True] * 3
    assert len(served.queue) == 8
    assert served.in_state(called=True, displaced=True) == ["a5", "a6", "a7"]
    assert served.call(4) == ["a0", "b1", "c1", "d1"]


def test_only_the_longest_lane_makes_room() -> None:
    """Whoever comes displaces the newest of the longest lane, as long as that is longer than its own would be."""
    served = Served(capacity=6)
    served.add("a1", "a2", "a3", "b1", "b2", "c1")
    assert served.add("c2") == [True]
    assert served.in_state(called=True, displaced=True) == ["a3"]
    assert served.add("a4", "b3", "c3") == [False] * 3
    assert served.add("d1") == [True]
    assert len(served.in_state(called=True, displaced=True)) == 2
    assert "c1" not in served.in_state(called=True, displaced=True)
    served = Served(capacity=3)
    served.add("a1", "a2", "b1")
    assert served.add("b2") == [False]


def test_who_failed_most_makes_room() -> None:
    """Of the longest lane the highest rank is displaced, whenever it came."""
    served = Served(capacity=3)
    served.add("a1", rank=5)
    served.add("a2", "a3")
    assert served.add("b1") == [True]
    assert served.in_state(called=True, displaced=True) == ["a1"]


def test_a_flood_in_ones_own_lane_makes_room_for_a_lower_rank() -> None:
    """Where all places are taken by those of one network who failed, who has not is let in."""
    served = Served(capacity=3)
    served.add("a1", rank=1)
    served.add("a2", "a3", rank=2)
    assert served.add("a4", rank=2) == [False]
    assert served.add("a5") == [True]
    assert served.in_state(called=True, displaced=True) == ["a3"]
    assert served.add("a6") == [True]
    assert served.call(3) == ["a5", "a6", "a1"]
    assert FairQueue(1).add("a", 1) is not None


def test_who_leaves_is_not_called() -> None:
    """A waiter that gives up is out once, and its place is free."""
    served = Served(capacity=2)
    served.add("a1", "b1")
    assert served.queue.remove(served.waiters["a1"])
    assert not served.queue.remove(served.waiters["a1"])
    assert served.add("c1") == [True]
    assert served.call(2) == ["b1", "c1"]
    assert not served.queue.remove(served.waiters["b1"])


def test_the_memory_of_lanes_is_bounded() -> None:
    """Tens of thousands of lanes do not push out the memory of the one that was given most."""
    served = Served()
    for _ in range(3):
        served.queue.note_turn("a")
    for number in range(3 * fair_queue._MOST_LANES):
        served.queue.note_turn(f"lane {number}")
    assert len(served.queue._given) <= fair_queue._MOST_LANES
    served.add("a1", "b1")
    assert served.call() == ["b1"]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("aaaabbcd"), st.integers(0, 2)),
        st.tuples(st.just("call"), st.just(""), st.just(0)),
        st.tuples(st.just("leave"), st.just(""), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 100)),
    ),
    max_size=60,
)


@given(OPERATIONS, st.integers(1, 5))
def test_nobody_is_lost(operations: Sequence[tuple[str, str, int]], capacity: int) -> None:
    """Whatever happens in whatever order, each waiter is in the queue, called, displaced or gone, and counted right."""
    clock = Clock()
    queue = FairQueue(capacity, clock)
    waiting: list[Waiter] = []
    for operation, lane, number in operations:
        if operation == "add":
            waiter = queue.add(lane, number)
            displaced = [one for one in waiting if one.displaced]
            waiting = [one for one in waiting if not one.displaced]
            assert len(displaced) <= (waiter is not None)
            if waiter is None:
                assert len(waiting) == capacity
            else:
                waiting.append(waiter)
        elif operation == "call":
            assert queue.call_next() == bool(waiting)
            called = [one for one in waiting if one.called.is_set()]
            assert len(called) == bool(waiting)
            for one in called:
                rivals = [other for other in waiting if other.lane == one.lane]
                assert one is min(rivals, key=lambda other: (other.rank, other.number))
                waiting.remove(one)
        elif operation == "leave" and waiting:
            assert queue.remove(waiting.pop(number % len(waiting)))
        else:
            clock.now += number
        assert len(queue) == len(waiting) <= capacity
        assert not [one for one in waiting if one.called.is_set()]
    while waiting:
        assert queue.call_next()
        waiting = [one for one in waiting if not one.called.is_set()]
    assert not queue.call_next()
    assert not queue._lanes
