"""How much the tests of faults, floods and hostile input do: little in ``make test``, all of it in ``make faults``."""

import os
from typing import TypeVar

T = TypeVar("T")

IS_FULL = os.environ.get("FAULTS") == "full"


def extent(short: T, full: T) -> T:
    """Return ``full`` under ``make faults``, and else ``short``."""
    return full if IS_FULL else short
