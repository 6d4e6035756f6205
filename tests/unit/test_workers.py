"""The parent of the workers."""

from typing import Any

from granian.constants import Interfaces

from api.workers import WorkersParent


def test_who_follows_does_not_write_where_the_last_one_may_still_write() -> None:
    """Workers that may live at the same time have places of their own; who follows has that of its last but one."""
    parent = WorkersParent("nothing:at_all", workers=3, interface=Interfaces.ASGI)
    vars(parent)["_sso"] = None  # what Granian has once it listens

    def place_of_next(worker: int) -> Any:
        spawned = parent._spawn_worker(worker, print, callback_loader=None)
        return spawned.inner._target.args[0]

    places = [[place_of_next(worker) for _ in range(3)] for worker in range(3)]
    assert len({place for of_one in places for place in of_one[:2]}) == 6
    assert all(first == third for first, _, third in places)
    assert {place for of_one in places for place in of_one} == set(range(6))
