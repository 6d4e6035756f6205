"""Who makes the events of a removal, which only the store knows the extent of."""

from collections.abc import Sequence
from typing import Protocol

from models.events import Event
from models.records import Record


class Telling(Protocol):
    """Makes the events of the removal of some records."""

    def __call__(self, removed: Sequence[Record], /) -> Sequence[Event]: ...


def untold(_: Sequence[Record], /) -> Sequence[Event]:
    """Make no events."""
    return ()
