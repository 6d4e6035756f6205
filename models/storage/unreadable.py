"""What other programs have written where records are."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from models.records import Record

T = TypeVar("T")
Made = TypeVar("Made")

logger = logging.getLogger(__name__)

_TYPES = {"kind": str, "id": str, "user_id": str | None, "epoch": int} | dict.fromkeys(
    ("created_at", "used_at", "expires_at"), datetime
)


def readable_records(found: Iterable[T], read: Callable[[T], Record]) -> Iterator[Record]:
    """Yield the records; one that cannot be read, or is not as Doorman writes them, is logged and left out."""
    return readable(found, read, "A record in the store is not as Doorman writes records, and is taken for none.")


def readable(found: Iterable[T], read: Callable[[T], Made], otherwise: str) -> Iterator[Made]:
    """Yield what can be read; where something cannot, log what it is called ``otherwise``."""
    for row in found:
        try:
            yield read(row)
        except (KeyError, TypeError, ValueError, OverflowError):
            logger.error(otherwise)  # noqa: TRY400 - the trace might hold it


def make_record(data: object, **values: object) -> Record:
    """Build a record, ``data`` being JSON. Raises ``TypeError`` or ``ValueError`` for what Doorman does not write."""
    for name, kind in _TYPES.items():
        if not isinstance(values[name], kind):
            raise TypeError(name)
    members = json.loads(data) if isinstance(data, str) else None
    if not isinstance(members, dict):
        raise TypeError("data")
    return Record(data=members, **values)  # type: ignore[arg-type]  # Their types have just been looked at.
