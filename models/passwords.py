"""Hashing and checking secrets with bcrypt, and the policy for passwords (NIST SP 800-63B, 3.1.1)."""

import contextlib
from collections.abc import Collection
from importlib.resources import files

from models import bcrypt_hashes, names
from models.bcrypt_hashes import LEAST_ROUNDS, MAX_BYTES, MOST_ROUNDS
from models.errors import BrokenRuleError
from models.even_time import EvenTime
from models.foreign_hashes import find_hash
from models.secret import Secret

__all__ = ["LEAST_ROUNDS", "MAX_BYTES", "MOST_ROUNDS", "SHORTEST_WORD", "Blocklist", "Hasher", "PasswordPolicy"]

SHORTEST_WORD = 3  # characters; shorter ones turn up in any password


class Hasher:
    """bcrypt at one cost, which also checks what other costs and other systems have made.

    A refused check takes the time of the dearest hash there is, whatever there was to check.
    """

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self._highest = rounds
        self._even = EvenTime()

    def expect(self, rounds: int) -> None:
        """Make refusals take as long as one of a hash of this cost, if that is longer: some users have one."""
        self._highest = max(self._highest, min(rounds, MOST_ROUNDS))

    def expect_foreign(self, recipes: Collection[str]) -> None:
        """Make refusals take as long as one of a hash by any of these recipes: some users have one."""
        self._even.expect(recipes, self._highest)

    def hash(self, secret: Secret) -> str:
        """Return the bcrypt hash of at most 72 bytes of UTF-8."""
        return bcrypt_hashes.make(secret.reveal().encode(), self.rounds)

    def rehash(self, secret: Secret, hashed: str) -> str | None:
        """Return the hash to keep from now on for the password of ``hashed``, or ``None`` if that is as good.

        It is, if it is bcrypt's at this cost or a higher one; and bcrypt cannot hold what is longer than 72 bytes.
        """
        if (bcrypt_hashes.cost_of(hashed) or 0) >= self.rounds:
            return None
        password = presented_password(secret)
        presented = password.reveal().encode("utf-8", "surrogatepass")
        if len(presented) > MAX_BYTES or b"\0" in presented:
            return None
        return bcrypt_hashes.make(presented, self.rounds)

    def verify(self, presented: Secret, hashed: str | None, *, may_open: bool = True) -> bool:
        """Tell whether ``hashed`` is the hash of the password that was ``presented``.

        ``None`` (there is no hash), and a hash that may open nothing, take as long as any other, and are false.
        """
        began = self._even.now()
        if hashed is None:  # which is checked like any other, since each step on the way takes its time
            hashed, may_open = bcrypt_hashes.unmatched(self._highest), False
        foreign = find_hash(hashed)
        if foreign is not None and self._even.expect([foreign.recipe], self._highest):
            began = self._even.now()
        as_kept = presented_password(presented).reveal().encode("utf-8", "surrogatepass")
        spent = 0
        if foreign is not None:
            # Other systems hash what they are given.
            if foreign.matches(presented.reveal().encode("utf-8", "surrogatepass")) and may_open:
                return True
        elif len(as_kept) <= MAX_BYTES and (cost := bcrypt_hashes.cost_of(hashed)):
            with contextlib.suppress(ValueError):  # a hash that another program wrote, and that is none
                if bcrypt_hashes.matches(as_kept, hashed) and may_open:
                    return True
                spent = cost
        self.expect(spent)
        if self._even.is_needed:
            self._even.pad(began, self._highest)
        else:
            self._pad(as_kept[:MAX_BYTES], spent)
        return False

    def _pad(self, presented: bytes, spent: int) -> None:
        """Spend what is missing to the highest cost: 2^spent and 2^spent + … + 2^(highest - 1) make 2^highest.

        Of hashes there are more, the cheaper the first one was; so what each has to be set up is made up for, too.
        """
        missing = range(spent, self._highest) if spent else [self._highest]
        for rounds in missing:
            bcrypt_hashes.spend(presented, rounds)
        hashes = len(missing) + (spent > 0)
        for _ in range(hashes, self._highest - LEAST_ROUNDS + 1):
            bcrypt_hashes.spend_set_up()


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

    def __init__(self, min_length: int, blocklist: Blocklist, words: Collection[str] = ()) -> None:
        """``words`` are those that whoever guesses here tries first, such as the name of the service."""
        self._min_length = min_length
        self._blocklist = blocklist
        self._words = sorted({word.casefold() for word in words}, key=len, reverse=True)

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
        self._refuse_guessable(text, user_name)
        return Secret(text)

    def enforce_token(self, token: Secret, user_name: str) -> None:
        """Hold a token that somebody has chosen to what goes for passwords, but for its length: it opens as much."""
        self._refuse_guessable(token.reveal(), user_name)

    def _refuse_guessable(self, text: str, user_name: str) -> None:
        """Raise ``BrokenRuleError`` for what is guessed first (NIST SP 800-63B-4, 3.1.1.2; OWASP ASVS 5, 6.2.11)."""
        name = user_name.casefold()
        if len(set(text)) == 1:
            raise BrokenRuleError("It may not be one character, repeated.")
        if text in self._blocklist:
            raise BrokenRuleError("It is one of the most common passwords.")
        if text.casefold() == name:
            raise BrokenRuleError("It may not be the user name.")
        if _is_little_more_than(dict.fromkeys([name, name.partition("@")[0]]), self._words, text):
            raise BrokenRuleError("It may not be the user name, or a word as likely, with only digits and signs added.")


def _is_little_more_than(names: Collection[str], words: Collection[str], text: str) -> bool:
    """Tell whether the text is one of the names, once, or any of the words, and nothing but digits and signs around.

    A name may be a word like any other, of which a phrase may have several.
    """
    rest = text.casefold()
    for name in names:
        rest = rest.replace(name, "", 1) if len(name) >= SHORTEST_WORD else rest
    for word in words:
        rest = rest.replace(word, "")
    return rest != text.casefold() and not any(character.isalpha() for character in rest)


def presented_password(password: Secret) -> Secret:
    """Return a password that was presented at login in the form that was hashed, or as it is if it has none."""
    with contextlib.suppress(BrokenRuleError):
        if len(password.reveal()) <= MAX_BYTES:
            return Secret(names.opaque_string(password.reveal()))
    return password


def shipped_blocklist() -> Blocklist:
    """Return the common passwords that ship with Doorman."""
    return Blocklist(files("models").joinpath("common_passwords.txt").read_text("utf-8"))
