"""Where what is done comes from: through which surface, from which address, in which request."""

from collections.abc import Callable
from dataclasses import dataclass

from models.events import Party


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the running request, or command, comes from.

    ``actor`` is who acts where there is no caller: the command line, or the system. A request has none.
    """

    surface: str
    address: str  # whole, and empty where there is none
    request_id: str
    actor: Party | None = None


Whence = Callable[[], Origin]


class NoOriginError(RuntimeError):
    """A defect: something is to be written down of which nobody has said where it comes from, or who does it."""


def nowhere() -> Origin:
    """Raise ``NoOriginError``."""
    raise NoOriginError("nobody has said where this comes from")
