"""Accounts that people make for themselves, through the surfaces that let anybody in."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from models.accounts import Accounts
from models.clients import Client
from models.credentials import Caller
from models.errors import EmailInUseError, RegistrationClosedError, TooManyRegistrationsError, UserExistsError
from models.login_limiter import LoginLimiter
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store

_WINDOW = timedelta(hours=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """Whether people may register, and how many of one address an hour."""

    is_open: bool = True
    most_an_hour: int = 20


class Registrations:
    """New users, of the group ``noob``. They are counted in the store, for all replicas, by address and hour."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        limiter: LoginLimiter,
        keys: KeyRing,
        *,
        clock: Callable[[], datetime],
        policy: RegistrationPolicy,
    ) -> None:
        self._counters = store.counters
        self._accounts = accounts
        self._limiter = limiter
        self._key = keys.lasting
        self._clock = clock
        self._policy = policy

    def require_open(self) -> None:
        """Raise ``RegistrationClosedError`` unless people may register."""
        if not self._policy.is_open:
            raise RegistrationClosedError

    def register(self, client: Client, user_name: str, password: Secret, *, email: str | None = None) -> Caller:
        """Add a user, and return it as one who has logged in.

        Raises ``RegistrationClosedError``, ``TooManyRegistrationsError``, and as ``Accounts.register`` does. That a
        name or an e-mail address is taken tells something, so it counts as a failed login of the client's address:
        ``TooManyAttemptsError``.
        """
        self.require_open()
        self._limiter.admit(client)
        try:
            user = self._accounts.register(client, user_name, password, partial(self._count, client), email=email)
        except (EmailInUseError, UserExistsError):
            self._limiter.failed(client)
            raise
        return Caller(user, client)

    def _count(self, client: Client) -> None:
        now = self._clock()
        end = _FIRST + ((now - _FIRST) // _WINDOW + 1) * _WINDOW
        key = self._key.limiter_digest("registrations", client.address, end.isoformat())
        if self._counters.take(key, now=now, expires_at=end) > self._policy.most_an_hour:
            raise TooManyRegistrationsError(math.ceil((end - now).total_seconds()))
