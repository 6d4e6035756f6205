"""Code that must not wait, since the event loop runs it: it is stopped where it would."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

_this_thread = local()


class WouldWaitError(BaseException):
    """What runs ``without_waiting`` has come to where it would wait. Not an error to be handled."""


@contextmanager
def without_waiting() -> Iterator[None]:
    """Raise ``WouldWaitError`` in place of waiting. What is inside may be begun anew, so it must change nothing."""
    before = getattr(_this_thread, "must_not_wait", False)
    _this_thread.must_not_wait = True
    try:
        yield
    finally:
        _this_thread.must_not_wait = before


def about_to_wait() -> None:
    """Say that the calling thread may have to wait from here on: for a database, a turn, another thread."""
    if getattr(_this_thread, "must_not_wait", False):
        raise WouldWaitError
