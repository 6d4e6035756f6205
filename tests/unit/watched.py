"""A clock that a test sets, and a store that a test watches."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from models.core import utc_now
from models.errors import UnavailableError
from models.storage import Store


class Clock:
    """A clock that a test sets. It begins with the true time, since MongoDB purges by that."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> Any:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Watched:
    """A store whose calls are noted, and may be made to fail or to wait."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: list[str] = []
        self.records = _Part(self, "records")
        self.counters = _Part(self, "counters")
        self.audit = store.audit  # which a thread writes to when it likes, so that is not noted
        self.fails: set[str] = set()
        self.after: Callable[[str], object] = lambda _: None

    def __getattr__(self, name: str) -> Any:
        return partial(self.call, name)

    def call(self, name: str, *values: Any, **named: Any) -> Any:
        only_asks = (name, values) in (("raise_highest_cost", (0,)), ("note_foreign_hashes", ((),)))
        self.calls.append(f"{name}(0)" if only_asks else name)
        if name in self.fails:
            raise UnavailableError("the store cannot be reached")
        result = attrgetter(name)(self._store)(*values, **named)
        self.after(name)
        return result


class _Part:
    """A part of a watched store: what it is asked is noted as ``part.call``."""

    def __init__(self, watched: Watched, name: str) -> None:
        self._watched = watched
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return partial(self._watched.call, f"{self._name}.{name}")
