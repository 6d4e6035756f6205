"""Waiting for a store that is away: for work that nobody waits for at the other end of a connection."""

import time
from collections.abc import Callable
from typing import TypeVar

from models.errors import UnavailableError

T = TypeVar("T")

_PATIENCE = 30.0  # seconds in which a store that is away may come back
_PAUSE = 0.5


def patiently(call: Callable[[], T]) -> T:
    """Call again for a while when the store is away: a primary is elected, another writer lets go of the file."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return call()
        except UnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
