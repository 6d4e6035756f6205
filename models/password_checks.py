"""Checking a password that is not remembered: once for all who present it at a time, in turn, and counted if wrong.

One that is right, and kept under a cheaper hash than the settings ask for, or under another system's, is hashed anew.
"""

import time
from dataclasses import dataclass

from models.clients import Client
from models.compare_and_set import compare_and_set
from models.errors import TooManyAttemptsError, UnavailableError
from models.hashing_gate import HashingGate
from models.login_limiter import LoginLimiter
from models.passwords import Hasher
from models.secret import Secret
from models.shared_checks import SharedChecks
from models.storage import Store
from models.user import User

_COST_KNOWN_FOR = 60.0  # seconds
# While others wait for a turn, one login of so many takes the time to hash its password anew. So when the cost is
# raised under load, logins take longer by a part that is bounded, and all the same each of them comes to it.
_REHASHED_UNDER_LOAD = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """One password, or a token in its place, presented for ``user_name`` by a client.

    ``credential`` is what the process calls name and password (``RememberedCredentials.name_of``). A known caller may
    vouch for it: a server that logs its own users in, whose address they all share.
    """

    user_name: str
    secret: Secret
    credential: bytes
    client: Client
    is_vouched: bool = False


class PasswordChecks:
    """Each raises ``UnavailableError`` when the turn to hash does not come, ``TooManyAttemptsError`` as the limiter.

    ``failures`` is how often the client's address has failed lately.
    """

    def __init__(self, store: Store, hasher: Hasher, gate: HashingGate, limiter: LoginLimiter) -> None:
        self._store = store
        self._hasher = hasher
        self._gate = gate
        self._limiter = limiter
        self._shared = SharedChecks(gate.giving_way)
        self._cost_known_until = 0.0
        self._recipes = frozenset[str]()
        self._put_off = 0

    def right_hash(self, attempt: Attempt, user: User, stored: str, failures: int) -> str | None:
        """Return the hash that the password is right for, ``None`` if it is wrong.

        That is ``stored``, the user's, or what has taken its place just now.
        """
        made: list[str] = []
        if not self._run(attempt, stored, failures, may_open=True, made=made):
            return None
        return stored if not made else self._replaced(user, stored, made[0])

    def refuse(self, attempt: Attempt, stored: str | None, failures: int) -> None:
        """Take as long as a wrong password does, and count as one: for users who are not there, or may not log in."""
        self._run(attempt, stored, failures, may_open=False, made=[])

    def _run(self, attempt: Attempt, stored: str | None, failures: int, *, may_open: bool, made: list[str]) -> bool:
        """Check the password, here or in another request; what is hashed anew here is added to ``made``."""
        client, name = attempt.client, attempt.user_name

        def check() -> bool:
            self._expect_highest_cost()
            with self._gate.login(client.network, failures):
                # Others from there may have failed since this one was admitted, up to just before it began.
                self._limiter.readmit(client, name, is_vouched=attempt.is_vouched)
                self._hasher.expect_foreign(self._recipes)  # which takes the time of some checks, once
                is_right = self._hasher.verify(attempt.secret, stored, may_open=may_open)
                if is_right and stored is not None and self._may_rehash():
                    made.extend(filter(None, [self._hasher.rehash(attempt.secret, stored)]))
                return is_right

        try:
            return self._shared.run(
                (client.address, name),
                (attempt.credential, stored if may_open else None),
                check,
                lambda: self._limiter.failed(client, name, attempt.credential, is_vouched=attempt.is_vouched),
            )
        except TooManyAttemptsError as refusal:
            self._limiter.note_refused(client, name, refusal)
            raise

    def _expect_highest_cost(self) -> None:
        """Let refusals take as long as they do where the hashes are dearest: replicas may have other settings."""
        if time.monotonic() >= self._cost_known_until:
            self._hasher.expect(self._store.raise_highest_cost(0))
            self._recipes = frozenset(self._store.note_foreign_hashes(()))
            self._cost_known_until = time.monotonic() + _COST_KNOWN_FOR

    def _may_rehash(self) -> bool:
        """Tell whether there is time for another hash in this turn; that two threads may count as one does no harm."""
        self._put_off = self._put_off + 1 if self._gate.is_awaited() else 0
        if self._put_off < _REHASHED_UNDER_LOAD and self._put_off:
            return False
        self._put_off = 0
        return True

    def _replaced(self, user: User, stored: str, made: str) -> str:
        """Put ``made`` in the place of ``stored`` and return it, or ``stored`` if that is not there any more.

        The login goes on whatever comes of it: the next one tries again.
        """

        def read() -> User:
            now = self._store.find_users_by_id([user.id]).get(user.id)
            if not isinstance(now, User) or now.password_hash != stored:
                raise _OtherPasswordError
            return now

        def write(before: User) -> User:
            after = before.rehashed(made)
            self._store.replace(before, after, ())  # the password is the same: nothing has happened
            return after

        try:
            compare_and_set(read, write)
        except (_OtherPasswordError, UnavailableError):
            return stored
        return made


class _OtherPasswordError(Exception):
    """The password was changed meanwhile, or hashed anew by somebody else."""
