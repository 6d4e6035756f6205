"""A clock that a test sets, and a store that a test watches."""

from collections.abc import Callable
from datetime import timedelta
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
        self.fails: set[str] = set()
        self.after: Callable[[str], object] = lambda _: None

    def __getattr__(self, name: str) -> Any:
        def call(*values: Any, **named: Any) -> Any:
            self.calls.append(f"{name}(0)" if (name, values) == ("raise_highest_cost", (0,)) else name)
            if name in self.fails:
                raise UnavailableError("the store cannot be reached")
            result = getattr(self._store, name)(*values, **named)
            self.after(name)
            return result

        return call
