"""Changing a user who others may be changing too."""

import random
import time
from collections.abc import Callable

from models.errors import RevisionMismatchError, UnavailableError
from models.user import User

# Seconds for one change to get its turn among others of the same user, and the longest pause between two tries.
_PATIENCE = 3.0
_LONGEST_PAUSE = 0.005


def compare_and_set(read: Callable[[], User], write: Callable[[User], User]) -> User:
    """Read and write until the write meets the revision that was read. Each lost turn is another's gain.

    Raises ``UnavailableError`` when too many others went first, and what the two calls raise.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        user = read()
        try:
            return write(user)
        except RevisionMismatchError:
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - it parts those who compete, and guards nothing
    raise UnavailableError("the user is being changed by too many at once")
