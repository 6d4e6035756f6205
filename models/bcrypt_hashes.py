"""bcrypt: making hashes, checking them, and what they cost. The sole importer of the library."""

import os
import re
from base64 import b64encode

import bcrypt

MAX_BYTES = 72  # of a password: bcrypt ignores or refuses what comes after
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
_ANY_SALT = "." * 22
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_DIGEST_BYTES, _DIGEST_LENGTH = 23, 31
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
