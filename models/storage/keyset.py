"""Which keys a page of a list may hold, as one half-open range that every store can put to its index.

Stores compare keys by their UTF-8 bytes, which is the order of their code points, which is how Python compares ``str``.
"""

from typing import NamedTuple

_FIRST_SURROGATE = 0xD800
_LAST_SURROGATE = 0xDFFF
_LAST_CODE_POINT = 0x10FFFF


class KeyRange(NamedTuple):
    """The keys from ``low`` (included) to ``high`` (excluded; ``None``: to the end)."""

    low: str
    high: str | None

    @property
    def is_empty(self) -> bool:
        return self.high is not None and self.low >= self.high


def key_range(*, after: str | None, prefix: str, before: str | None = None) -> KeyRange | None:
    """Return the range of the keys that begin with ``prefix`` and come after ``after`` and before ``before``.

    ``None`` if there are none. All may be any ``str``, lone surrogates included, which no stored key has.
    """
    if not is_storable(prefix):
        return None
    ends = [_successor(prefix), None if before is None else _least_storable(before)]
    low = max(prefix, "" if after is None else _next_key(after))
    wanted = KeyRange(low, min((end for end in ends if end is not None), default=None))
    return None if wanted.is_empty else wanted


def is_storable(text: str) -> bool:
    """Tell whether ``text`` is Unicode that UTF-8 can carry; what is not can be asked for, but is never there."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _next_key(key: str) -> str:
    """Return the least storable key that is greater than ``key``."""
    least = _least_storable(key)
    return least if least != key else key + "\0"


def _least_storable(key: str) -> str:
    """Return the least storable key that is not less than ``key``."""
    for position, character in enumerate(key):
        if _FIRST_SURROGATE <= ord(character) <= _LAST_SURROGATE:
            return key[:position] + chr(_LAST_SURROGATE + 1)
    return key


def _successor(prefix: str) -> str | None:
    """Return the least key that is greater than all that begin with ``prefix``, or ``None`` if nothing is."""
    stem = prefix.rstrip(chr(_LAST_CODE_POINT))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following == _FIRST_SURROGATE:
        following = _LAST_SURROGATE + 1
    return stem[:-1] + chr(following)
