"""bcrypt: making hashes, checking them, and what they cost. The sole importer of the library."""

import hashlib
import os
import re
import time
from base64 import b64encode
from collections.abc import Callable
from functools import cache

import bcrypt

MAX_BYTES = 72  # of a password: bcrypt ignores or refuses what comes after
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
_ANY_SALT = "." * 22
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_DIGEST_BYTES, _DIGEST_LENGTH = 23, 31
_RUNS = 10  # of what is timed once, some milliseconds
# bcrypt's base64 has another alphabet. A digest's last character holds four bits, like that of the standard one.
_TO_BCRYPT = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


def make(password: bytes, rounds: int) -> str:
    """Return a new hash of at most ``MAX_BYTES``."""
    return bcrypt.hashpw(password, bcrypt.gensalt(rounds)).decode()


def matches(password: bytes, hashed: str) -> bool:
    """Tell whether it is the hash of the password. Raises ``ValueError`` for what is none."""
    return bcrypt.checkpw(password, hashed.encode())


def derive(password: bytes, settings: str) -> bytes:
    """Return the hash that the version, the cost and the salt of ``settings`` give."""
    return bcrypt.hashpw(password, settings.encode())


def spend(password: bytes, rounds: int) -> None:
    """Do the work of one hash."""
    bcrypt.hashpw(password, f"$2b${rounds:02}${_ANY_SALT}".encode())


def spend_set_up() -> None:
    """Take the time that a hash takes whatever its cost is, and let other threads run meanwhile, as a hash does."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", _set_up_iterations())


@cache
def _set_up_iterations() -> int:
    """Return how many rounds of SHA-256 take as long as one of bcrypt's key schedules, here.

    bcrypt works out 2^(cost + 1) of them, and one before that. Both are timed by the thread's own clock, and the least
    of some times counts: what takes longer was disturbed.
    """
    schedules, iterations = (2 << LEAST_ROUNDS) + 1, 1000
    schedule = _least_time(lambda: spend(b"", LEAST_ROUNDS)) / schedules
    iteration = _least_time(lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", iterations)) / iterations
    return max(round(schedule / iteration), 1)


def _least_time(compute: Callable[[], object]) -> float:
    times = []
    for _ in range(_RUNS):
        began = time.thread_time()
        compute()
        times.append(time.thread_time() - began)
    return min(times)


def unmatched(rounds: int) -> str:
    """Return what looks like a hash of this cost and is none of any password that is known."""
    return f"$2b${rounds:02}$" + "." * 53


def cost_of(hashed: str) -> int | None:
    """Return the cost of a bcrypt hash, or ``None`` for one that is none, or would take hours to check."""
    parts = hashed.split("$")
    if len(parts) != len(("", "2b", "12", "salt and hash")) or parts[1] not in {"2a", "2b", "2y"}:
        return None
    if not re.fullmatch("[0-9]{2}", parts[2]):
        return None
    return int(parts[2]) if LEAST_ROUNDS <= int(parts[2]) <= MOST_ROUNDS else None


def strict_cost_of(text: str) -> int | None:
    """Return the cost that is written in a hash, whatever it is, or ``None`` for what is not a hash to the letter."""
    found = _HASH.fullmatch(text)
    return int(found[1]) if found else None


def of_nothing(rounds: int) -> str:
    """Make what looks like the hash of a random secret that nobody was told, and costs no time: nothing matches it."""
    digest = b64encode(os.urandom(_DIGEST_BYTES)).decode()[:_DIGEST_LENGTH]
    return bcrypt.gensalt(rounds).decode() + digest.translate(_TO_BCRYPT)
