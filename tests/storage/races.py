"""Making threads and processes do something to one store at the same moment."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

from models.errors import DoormanError
from models.storage import Store
from tests.storage.stores import Address, open_store

THREADS = 8
PROCESSES = 4
PATIENCE = 30  # seconds for all to come to the start

_start: Barrier


def outcome(action: Callable[[], Any]) -> Any:
    """Return what ``action`` returns, or the class of the error that it raises."""
    try:
        return action()
    except DoormanError as error:
        return type(error)


def race(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each action in a thread of its own, all from the same moment; return their outcomes."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        start.wait(PATIENCE)
        return outcome(action)

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(run, actions))


class Processes:
    """Other processes, each of which opens a store and acts on it from as many threads as it is given actions."""

    def __init__(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            PROCESSES, spawning, initializer=_set_start, initargs=(spawning.Barrier(PROCESSES),)
        )

    def race(self, address: Address, act: Callable[[Store, int], Any], *, threads: int = 2) -> list[Any]:
        """Call ``act(store, number)`` from ``threads`` threads of every process; return all the outcomes."""
        futures: list[Future[list[Any]]] = [
            self._pool.submit(_race_in_process, address, act, range(first * threads, (first + 1) * threads))
            for first in range(PROCESSES)
        ]
        return [one for future in futures for one in future.result(PATIENCE * 2)]

    def close(self) -> None:
        self._pool.shutdown()


def counted(outcomes: Sequence[Any]) -> Counter[Any]:
    return Counter(outcomes)


def _set_start(barrier: Barrier) -> None:
    global _start  # noqa: PLW0603 - A barrier can be given to a process only at its start.
    _start = barrier


def _race_in_process(address: Address, act: Callable[[Store, int], Any], numbers: range) -> list[Any]:
    store = open_store(address)
    try:
        # The first to come waits here, so that each process takes one of the tasks.
        _start.wait(PATIENCE)
        return race([partial(act, store, number) for number in numbers])
    finally:
        store.close()
