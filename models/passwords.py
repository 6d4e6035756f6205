"""Hashing and checking secrets with bcrypt, and the policy for passwords (NIST SP 800-63B, 3.1.1)."""

import contextlib
from collections.abc import Collection
from importlib.resources import files

import bcrypt

from models import names
from models.errors import BrokenRuleError
from models.secret import Secret

MAX_BYTES = 72  # bcrypt ignores or refuses what comes after
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
_ANY_SALT = "." * 22


class Hasher:
    """bcrypt at one cost. A refused check takes the time of that cost, whatever there was to check against."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def hash(self, secret: Secret) -> str:
        """Return the bcrypt hash of at most 72 bytes of UTF-8."""
        return bcrypt.hashpw(secret.reveal().encode(), bcrypt.gensalt(self._rounds)).decode()

    def verify(self, secret: Secret, hashed: str | None) -> bool:
        """Tell whether ``hashed`` is the hash of ``secret``; ``None`` (there is no hash) takes as long and is false."""
        presented = secret.reveal().encode("utf-8", "surrogatepass")
        spent = 0
        if hashed is not None and len(presented) <= MAX_BYTES:
            with contextlib.suppress(ValueError):  # a hash that another program wrote, and that is none
                if bcrypt.checkpw(presented, hashed.encode()):
                    return True
                spent = int(hashed.split("$")[2])
        self._pad(presented[:MAX_BYTES], spent)
        return False

    def _pad(self, presented: bytes, spent: int) -> None:
        """Spend what is missing to the configured cost: 2^spent and 2^spent + … + 2^(rounds - 1) make 2^rounds."""
        missing = range(spent, self._rounds) if spent else [self._rounds]
        for rounds in missing:
            bcrypt.hashpw(presented, f"$2b${rounds:02}${_ANY_SALT}".encode())


class PasswordPolicy:
    """What a password must be when it is set. At login nothing is checked: what no hash matches fails."""

    def __init__(self, min_length: int, blocklist: Collection[str]) -> None:
        self._min_length = min_length
        self._blocklist = frozenset(blocklist)

    def enforce(self, password: Secret, user_name: str) -> Secret:
        """Return the password in the form that is hashed. Raises ``BrokenRuleError``."""
        text = password.reveal()
        if len(text) > MAX_BYTES:
            raise BrokenRuleError(f"It may have at most {MAX_BYTES} bytes in UTF-8 (the limit of bcrypt).")
        text = names.opaque_string(text)
        if len(text.encode()) > MAX_BYTES:
            raise BrokenRuleError(f"It may have at most {MAX_BYTES} bytes in UTF-8 (the limit of bcrypt).")
        if len(text) < self._min_length:
            raise BrokenRuleError(f"It must have at least {self._min_length} characters.")
        if len(set(text)) == 1:
            raise BrokenRuleError("It may not be one character, repeated.")
        if text.casefold() in self._blocklist:
            raise BrokenRuleError("It is one of the most common passwords.")
        if text.casefold() == user_name.casefold():
            raise BrokenRuleError("It may not be the user name.")
        return Secret(text)


def presented_password(password: Secret) -> Secret:
    """Return a password that was presented at login in the form that was hashed, or as it is if it has none."""
    with contextlib.suppress(BrokenRuleError):
        if len(password.reveal()) <= MAX_BYTES:
            return Secret(names.opaque_string(password.reveal()))
    return password


def shipped_blocklist() -> Collection[str]:
    """Return the common passwords that ship with Doorman, in lower case."""
    return read_blocklist(files("models").joinpath("common_passwords.txt").read_text("utf-8"))


def read_blocklist(text: str) -> Collection[str]:
    """Return the passwords of a list: one a line; empty lines and lines that begin with ``#`` do not count."""
    return {line.strip().casefold() for line in text.splitlines() if line.strip() and not line.startswith("#")}
