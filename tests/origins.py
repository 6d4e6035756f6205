"""Where what tests do to a core, past every surface, comes from."""

from collections.abc import Callable
from datetime import datetime

from models.core import utc_now
from models.events import COMMAND_LINE
from models.origins import Origin
from models.trail import Trail

ORIGIN = Origin("command line", "", "a test", COMMAND_LINE)


def whence() -> Origin:
    return ORIGIN


def trail(clock: Callable[[], datetime] = utc_now) -> Trail:
    return Trail(whence, clock)
