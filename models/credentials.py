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
from models.waiting import about_to_wait

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
        name = user_name if key is None else key
        credential = self._remembered.name_of(name, secret)
        verified = self._remembered.stored_value(credential, client.address)
        if verified is None:
            self._limiter.refuse_known(client, name, credential)
        else:
            self._limiter.refuse_persistent(client, name)
        user = self._readable(partial(self._lookups.by_name, key, foreseen=foreseen)) if key is not None else None
        if verified is not None and user and not user.disabled:
            if verified == user.password_hash:
                return Caller(user, client)
            if _shared_digest(user, (verified,)):
                return self._by_token(user, secret, client)
        return self._basic_anew(Attempt(name, secret, credential, client), user)

    def _basic_anew(self, attempt: Attempt, user: User | None) -> Caller:
        """Check what is not remembered, or not of the user as it is now."""
        about_to_wait()
        client, credential = attempt.client, attempt.credential
        self._remembered.forget(credential, client.address)
        failures = self._limiter.admit(client, attempt.user_name)
        if user and not user.disabled and (digest := _shared_digest(user, self._keys.token_digests(attempt.secret))):
            self._remembered.remember(credential, client.address, digest)
            return self._by_token(user, attempt.secret, client)
        if user is None or user.password_hash is None or user.disabled:
            self._passwords.refuse(attempt, user.password_hash if user else None, failures)
            raise NotAuthenticatedError
        if not self._passwords.is_right(attempt, user.password_hash, failures):
            raise NotAuthenticatedError
        self._remembered.remember(credential, client.address, user.password_hash)
        # That took its time, in which the password may have been changed.
        now = self._readable(partial(self._lookups.by_name, user.name_key))
        if now is None or now.disabled or now.password_hash != user.password_hash:
            raise NotAuthenticatedError
        return Caller(now, client)

    def foresee_basic(self, user_name: str, secret: Secret, client: Client, shown: str) -> Foreseen | None:
        """Ask for the caller, and for the user whom it reads; ``None`` if this was not right before."""
        key, shown_key = names.lookup_key(user_name), names.lookup_key(shown)
        if key is None or shown_key is None:
            return None
        if self._remembered.stored_value(self._remembered.name_of(key, secret), client.address) is None:
            return None
        return self._lookups.foresee(names={(key, 0), (shown_key, 0)})

    def foresee_bearer(self, token: Secret, client: Client, shown: str) -> Foreseen | None:
        """Do as ``foresee_basic`` does, for ``bearer``."""
        shown_key = names.lookup_key(shown)
        if shown_key is None:
            return None
        if self._remembered.stored_value(self._remembered.name_of(None, token), client.address) is None:
            return None
        return self._lookups.foresee(names=[(shown_key, 0)], digests=self._keys.token_digests(token))

    def bearer(self, token: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
        """Check an API token: one look-up for the secret keys in service, however many users there are."""
        credential = self._remembered.name_of(None, token)
        if self._remembered.stored_value(credential, client.address) is None:
            self._limiter.refuse_known(client, credential=credential)
            self._limiter.admit(client)
        for digest in self._keys.token_digests(token):
            user = self._readable(partial(self._lookups.by_token, digest, foreseen))
            if user and not user.disabled:
                self._remembered.remember(credential, client.address, digest)
                return self._by_token(user, token, client)
        about_to_wait()
        self._remembered.forget(credential, client.address)
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
