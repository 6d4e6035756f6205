"""What is left of a crash: where it happened, without what clients sent, and no image of the memory."""

import logging
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

import click

from models.errors import DoormanError

# Errors whose messages are Doorman's own, the system's, or about names in the code. Any other's may hold the value that
# was wrong, and that may be a password: of these, the place tells enough.
_TELLING = (DoormanError, OSError, ImportError, AttributeError, NameError, RecursionError)
# Of the drivers, by name: this layer knows none of them. Others of theirs quote whole documents.
_TELLING_NAMES = {"sqlite3.Error", "pymongo.errors.ConnectionFailure", "pymongo.errors.ConfigurationError"}

logger = logging.getLogger(__name__)


def log_crashes() -> None:
    """Have what ends this process, or a thread of it, logged as anything else is."""
    sys.excepthook = lambda kind, error, trace: logger.critical("a process ends", exc_info=(kind, error, trace))
    threading.excepthook = lambda crash: logger.critical(
        "the thread %s ends", crash.thread.name if crash.thread else "", exc_info=crash.exc_value
    )


def tell_crashes() -> None:
    """Have what ends this command told on standard error, in the same form."""
    sys.excepthook = lambda _, error, __: click.echo(trace_of(error), err=True)


def leave_no_core() -> None:
    """Have the system keep no image of this process's memory, in which there are secrets, when it is aborted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def trace_of(error: BaseException) -> str:
    """Return the trace of an exception and of those that led to it; messages that may quote a value are left out."""
    return "\n".join(_told(error, set()))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "Which caused:" if error.__cause__ else "While that was handled:"
    yield from _places(error.__traceback__)
    yield f"{_name(type(error))}: {_message(error)}"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield "Of this group:"
            yield from _told(one, seen)


def _places(trace: TracebackType | None) -> Iterator[str]:
    stack = traceback.StackSummary.extract(traceback.walk_tb(trace))
    yield "Traceback (most recent call last):"
    yield from (part.rstrip("\n") for part in stack.format())


def _message(error: BaseException) -> str:
    names = {_name(kind) for kind in type(error).__mro__}
    if isinstance(error, _TELLING) or names & _TELLING_NAMES:
        return str(error)
    return "(its message is left out, since it may quote what was sent)"


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
