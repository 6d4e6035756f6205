"""Checking what a caller presents, and knowing later whether it still opens the door."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from models import names
from models.clients import Client
from models.errors import (
    CorruptRecordError,
    NotAuthenticatedError,
    RevisionMismatchError,
    TokenInUseError,
    UnavailableError,
)
from models.login_limiter import LoginLimiter
from models.lookups import NOTHING, Foreseen, Lookups
from models.password_checks import Attempt, PasswordChecks
from models.remembered import RememberedCredentials
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from models.user import User

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the user as it was read for this request, and what it proved itself with, from where."""

    user: User
    client: Client
    token_digests: tuple[str, ...] | None = None  # None: by password

    def is_still(self, user: User | None) -> bool:
        """Tell whether the credential that this caller presented opens ``user``, a later state of the same account."""
        if user is None or user.id != self.user.id or user.disabled:
            return False
        if user.user_group != self.user.user_group:
            return False
        if self.token_digests is not None:
            return _shared_digest(user, self.token_digests) is not None
        return user.epoch == self.user.epoch


class Authenticator:
    """Turns credentials into callers. Each refusal is the same ``NotAuthenticatedError``, after the same time.

    What was right before is known by one look at the user as it is now. Anything else has to pass the limiter, and a
    password the gate before bcrypt as well: ``TooManyAttemptsError``, ``UnavailableError``.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        passwords: PasswordChecks,
        *,
        limiter: LoginLimiter,
        keys: KeyRing,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._lookups = lookups
        self._passwords = passwords
        self._limiter = limiter
        self._keys = keys
        self._clock = clock
        self._remembered = RememberedCredentials()

    def basic(self, user_name: str, secret: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
        """Check a user name with the user's password, or with the user's token in the password's place."""
        key = names.lookup_key(user_name)
        credential = self._remembered.name_of(key or user_name, secret)
        proof = self._remembered.stored_value(credential)
        if proof is None:
            self._limiter.refuse_known(client, key or user_name)
        user = self._readable(partial(self._lookups.by_name, key, foreseen=foreseen)) if key is not None else None
        if proof is not None and user and not user.disabled:
            if proof == user.password_hash:
                return Caller(user, client)
            if _shared_digest(user, (proof,)):
                return self._by_token(user, secret, client)
        return self._basic_anew(key or user_name, user, secret, credential, client)

    def _basic_anew(self, name: str, user: User | None, secret: Secret, credential: bytes, client: Client) -> Caller:
        """Check what is not remembered, or not of the user as it is now."""
        self._remembered.forget(credential)
        failures = self._limiter.admit(client, name)
        if user and not user.disabled and (digest := _shared_digest(user, self._keys.token_digests(secret))):
            self._remembered.remember(credential, digest)
            return self._by_token(user, secret, client)
        attempt = Attempt(name, secret, credential, client, failures)
        if user is None or user.password_hash is None or user.disabled:
            self._passwords.refuse(attempt, user.password_hash if user else None)
            raise NotAuthenticatedError
        if not self._passwords.is_right(attempt, user.password_hash):
            raise NotAuthenticatedError
        self._remembered.remember(credential, user.password_hash)
        return Caller(user, client)

    def remembers_basic(self, user_name: str, secret: Secret) -> bool:
        """Tell whether this was right before, so that nothing need be hashed if the user is as it was."""
        key = names.lookup_key(user_name)
        return key is not None and self._remembered.holds(self._remembered.name_of(key, secret))

    def remembers_bearer(self, token: Secret) -> bool:
        """Tell whether this was right before."""
        return self._remembered.holds(self._remembered.name_of("", token))

    def foresee_bearer(self, token: Secret) -> Foreseen:
        """Ask for what ``bearer`` will need."""
        return self._lookups.foresee(digests=self._keys.token_digests(token))

    def bearer(self, token: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
        """Check an API token: one look-up a secret key in service, however many users there are."""
        credential = self._remembered.name_of("", token)
        if self._remembered.stored_value(credential) is None:
            self._limiter.refuse_known(client)
            self._limiter.admit(client)
        for digest in self._keys.token_digests(token):
            user = self._readable(partial(self._lookups.by_token, digest, foreseen))
            if user and not user.disabled:
                self._remembered.remember(credential, digest)
                return self._by_token(user, token, client)
        self._remembered.forget(credential)
        self._limiter.failed(client, credential=credential)
        raise NotAuthenticatedError

    def recheck(self, caller: Caller, target: User | None = None) -> None:
        """Raise ``NotAuthenticatedError`` if the caller's credential was revoked since it was checked.

        ``target`` is the user that is about to be changed, as just read: a caller who changes itself is compared with
        the very state that the write is conditional on, which leaves no gap.
        """
        oneself = target is not None and target.id == caller.user.id
        if not caller.is_still(target if oneself else self._lookups.by_id(caller.user.id)):
            raise NotAuthenticatedError

    def _readable(self, look_up: Callable[[], User | None]) -> User | None:
        """Return the user; one that cannot be read is refused like one who is not there, and is logged."""
        try:
            return look_up()
        except CorruptRecordError as error:
            # The trace would say no more.
            logger.error("The user with the id %s is not as Doorman writes users.", error.record_id)  # noqa: TRY400 - see above
            return None

    def _by_token(self, user: User, token: Secret, client: Client) -> Caller:
        """Make the caller, and give its token a digest under each key in service: so it outlives their rotation."""
        digests = self._keys.token_digests(token)
        if set(digests) <= set(user.token_digests):
            return Caller(user, client, digests)
        after = user.changed(self._clock(), token_digests=digests)
        try:
            self._store.replace(user, after)
        except (RevisionMismatchError, TokenInUseError, UnavailableError):
            return Caller(user, client, digests)  # the token works as it is, and the next request tries again
        return Caller(after, client, digests)


def _shared_digest(user: User, digests: tuple[str, ...]) -> str | None:
    return next((digest for digest in digests if digest in user.token_digests), None)
