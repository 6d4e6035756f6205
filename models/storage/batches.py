"""The keys of one look-up, as stores can be asked for them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from models.storage.keyset import is_storable

T = TypeVar("T")


def storable(keys: Iterable[str]) -> list[str]:
    """Return each key once, without those that no store can hold, which are never there."""
    return [key for key in dict.fromkeys(keys) if is_storable(key)]


def batches(keys: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut ``keys`` into parts of at most ``size``."""
    return (keys[start : start + size] for start in range(0, len(keys), size))
