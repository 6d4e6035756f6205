"""Hashing and checking secrets with bcrypt, and the policy for passwords (NIST SP 800-63B, 3.1.1)."""

import contextlib
import re
from importlib.resources import files

import bcrypt

from models import names
from models.errors import BrokenRuleError
from models.secret import Secret

MAX_BYTES = 72  # bcrypt ignores or refuses what comes after
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
_ANY_SALT = "." * 22


class Hasher:
    """bcrypt at one cost. A refused check takes the time of the highest cost there is, whatever there was to check."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self._highest = rounds

    def expect(self, rounds: int) -> None:
        """Make refusals take as long as one of a hash of this cost, if that is longer: some users have one."""
        self._highest = max(self._highest, min(rounds, MOST_ROUNDS))

    def hash(self, secret: Secret) -> str:
        """Return the bcrypt hash of at most 72 bytes of UTF-8."""
        return bcrypt.hashpw(secret.reveal().encode(), bcrypt.gensalt(self.rounds)).decode()

    def verify(self, secret: Secret, hashed: str | None, *, may_open: bool = True) -> bool:
        """Tell whether ``hashed`` is the hash of ``secret``.

        ``None`` (there is no hash), and a hash that may open nothing, take as long as any other, and are false.
        """
        presented = secret.reveal().encode("utf-8", "surrogatepass")
        spent = 0
        if hashed is not None and len(presented) <= MAX_BYTES and (cost := _cost(hashed)):
            with contextlib.suppress(ValueError):  # a hash that another program wrote, and that is none
                if bcrypt.checkpw(presented, hashed.encode()) and may_open:
                    return True
                spent = cost
        self.expect(spent)
        self._pad(presented[:MAX_BYTES], spent)
        return False

    def _pad(self, presented: bytes, spent: int) -> None:
        """Spend what is missing to the highest cost: 2^spent and 2^spent + … + 2^(highest - 1) make 2^highest."""
        missing = range(spent, self._highest) if spent else [self._highest]
        for rounds in missing:
            bcrypt.hashpw(presented, f"$2b${rounds:02}${_ANY_SALT}".encode())


def _cost(hashed: str) -> int | None:
    """Return the cost of a bcrypt hash, or ``None`` for one that is none, or would take hours to check."""
    parts = hashed.split("$")
    if len(parts) != len(("", "2b", "12", "salt and hash")) or not re.fullmatch("[0-9]{2}", parts[2]):
        return None
    return int(parts[2]) if LEAST_ROUNDS <= int(parts[2]) <= MOST_ROUNDS else None


class Blocklist:
    """Passwords that are too common, of a list: one a line; empty lines and lines that begin with ``#`` do not count.

    It is kept as one text, which is searched as fast as a password is ever set; a set would take twenty times the room.
    """

    def __init__(self, text: str) -> None:
        lines = (line.strip().casefold() for line in text.splitlines() if not line.startswith("#"))
        self._text = "\n".join(["", *filter(None, lines), ""])

    def __contains__(self, password: str) -> bool:
        return f"\n{password.casefold()}\n" in self._text


class PasswordPolicy:
    """What a password must be when it is set. At login nothing is checked: what no hash matches fails."""

    def __init__(self, min_length: int, blocklist: Blocklist) -> None:
        self._min_length = min_length
        self._blocklist = blocklist

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
        if text in self._blocklist:
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


def shipped_blocklist() -> Blocklist:
    """Return the common passwords that ship with Doorman."""
    return Blocklist(files("models").joinpath("common_passwords.txt").read_text("utf-8"))
