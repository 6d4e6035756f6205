"""What MongoDB says when a unique index is violated."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import BulkWriteError, DuplicateKeyError

from models.errors import DoormanError

_DUPLICATE_KEY = 11000


@contextmanager
def duplicate_raises(error: type[DoormanError]) -> Iterator[None]:
    """Turn a violated unique index into ``error``."""
    try:
        yield
    except DuplicateKeyError as duplicate:
        raise error from duplicate
    except BulkWriteError as failure:
        if is_duplicate(failure):
            raise error from failure
        raise


def is_duplicate(failure: BulkWriteError) -> bool:
    """Tell whether a violated unique index is among what went wrong."""
    return any(write["code"] == _DUPLICATE_KEY for write in failure.details["writeErrors"])
