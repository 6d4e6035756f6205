"""Checking a password that is not remembered: once for all who present it at a time, in turn, and counted if wrong."""

import time
from dataclasses import dataclass

from models.clients import Client
from models.errors import TooManyAttemptsError
from models.hashing_gate import HashingGate
from models.login_limiter import LoginLimiter
from models.passwords import Hasher, presented_password
from models.secret import Secret
from models.shared_checks import SharedChecks
from models.storage import Store

_COST_KNOWN_FOR = 60.0  # seconds


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

    def is_right(self, attempt: Attempt, stored: str, failures: int) -> bool:
        """Tell whether the password is the one of the hash ``stored``."""
        return self._run(attempt, stored, failures, may_open=True)

    def refuse(self, attempt: Attempt, stored: str | None, failures: int) -> None:
        """Take as long as a wrong password does, and count as one: for users who are not there, or may not log in."""
        self._run(attempt, stored, failures, may_open=False)

    def _run(self, attempt: Attempt, stored: str | None, failures: int, *, may_open: bool) -> bool:
        client, name = attempt.client, attempt.user_name

        def check() -> bool:
            self._expect_highest_cost()
            with self._gate.login(client.network, failures):
                # Others from there may have failed since this one was admitted, up to just before it began.
                self._limiter.admit(client, name, is_vouched=attempt.is_vouched)
                return self._hasher.verify(presented_password(attempt.secret), stored, may_open=may_open)

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
            self._cost_known_until = time.monotonic() + _COST_KNOWN_FOR
