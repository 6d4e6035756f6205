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
    UnknownUserError,
)
from models.login_limiter import LoginLimiter
from models.lookups import NOTHING, Foreseen, Lookups
from models.meter import CREDENTIALS, UNMETERED, Meter
from models.password_checks import Attempt, PasswordChecks
from models.remembered import RememberedCredentials
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store, UserKey
from models.user import User, UserGroup
from models.waiting import about_to_wait

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the user as it was read for this request, and what it proved itself with, from where."""

    user: User
    client: Client
    token_digests: tuple[str, ...] | None = None  # None: by password, or by session
    session: tuple[str, str] | None = None  # the kind and the id of its record

    def is_still(self, user: User | None) -> bool:
        """Tell whether the credential that this caller presented opens ``user``, a later state of the same account.

        Whether its session goes on, if it has one, the session's record tells.
        """
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
        meter: Meter = UNMETERED,
    ) -> None:
        self._meter = meter
        self._store = store
        self._lookups = lookups
        self._passwords = passwords
        self._limiter = limiter
        self._keys = keys
        self._clock = clock
        self._remembered = RememberedCredentials()

    def basic(self, user_name: str, secret: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
        """Check a user name with the user's password, or with the user's token in the password's place."""
        attempt = self._attempt(user_name, secret, client)
        verified = self._admit_known(attempt)
        user = self._user_named(user_name, foreseen)
        if verified is not None and user and not user.disabled:
            if verified == user.password_hash:
                return self._known(Caller(user, client))
            if _shared_digest(user, (verified,)):
                return self._known(self._by_token(user, secret, client))
        about_to_wait()
        failures = self._admit_anew(attempt)
        digests = self._keys.token_digests(secret)  # which takes its time, so nobody is spared it
        if user and not user.disabled and (digest := _shared_digest(user, digests)):
            self._remembered.remember(attempt.credential, client.address, digest)
            return self._by_token(user, secret, client)
        return self._by_password(attempt, user, failures)

    def password(
        self,
        user_name: str,
        secret: Secret,
        client: Client,
        *,
        is_vouched: bool = False,
        group: UserGroup | None = None,
    ) -> Caller:
        """Check a user name with the user's password; here, the user's token is a wrong one.

        Raises ``UnknownUserError`` where nobody has the name. ``is_vouched``: see ``Attempt``. Where it is for one
        ``group`` alone, others are refused as who is disabled is: after the same time, and counted as a failure.
        """
        attempt = self._attempt(user_name, secret, client, is_vouched=is_vouched)
        verified = self._admit_known(attempt)
        user = self._user_named(user_name)
        if verified is not None and user and not user.disabled and group in (None, user.user_group):
            if verified == user.password_hash:
                return self._known(Caller(user, client))
            if _shared_digest(user, (verified,)):  # which goes on being remembered for ``basic``
                return self._by_password(attempt, user, self._admit(attempt))
        return self._by_password(attempt, user, self._admit_anew(attempt), group)

    def _attempt(self, user_name: str, secret: Secret, client: Client, *, is_vouched: bool = False) -> Attempt:
        key = names.lookup_key(user_name)
        name = user_name[: names.LONGEST_TRIED] if key is None else key
        return Attempt(name, secret, self._remembered.name_of(name, secret), client, is_vouched)

    def _admit_known(self, attempt: Attempt) -> str | None:
        """Return what the credential was right for before, if it ever was; the limiter's word costs no look-up yet."""
        client, name = attempt.client, attempt.user_name
        verified = self._remembered.stored_value(attempt.credential, client.address)
        if verified is None:
            self._limiter.refuse_known(client, name, attempt.credential, is_vouched=attempt.is_vouched)
        else:
            self._limiter.refuse_persistent(client, name)
        return verified

    def _admit_anew(self, attempt: Attempt) -> int:
        """Let what is not remembered, or not of the user as it is now, be checked; return its address's failures."""
        self._remembered.forget(attempt.credential, attempt.client.address)
        return self._admit(attempt)

    def _admit(self, attempt: Attempt) -> int:
        failures = self._limiter.admit(attempt.client, attempt.user_name, is_vouched=attempt.is_vouched)
        self._meter.count(CREDENTIALS, "no")
        return failures

    def _known(self, caller: Caller) -> Caller:
        """Count a caller whose credential was remembered."""
        self._meter.count(CREDENTIALS, "yes")
        return caller

    def _by_password(
        self, attempt: Attempt, user: User | None, failures: int, group: UserGroup | None = None
    ) -> Caller:
        client = attempt.client
        if user is None or user.password_hash is None or user.disabled or group not in (None, user.user_group):
            self._passwords.refuse(attempt, user.password_hash if user else None, failures)
            raise NotAuthenticatedError if user else UnknownUserError
        verified = self._passwords.right_hash(attempt, user, user.password_hash, failures)
        if verified is None:
            raise NotAuthenticatedError
        self._remembered.remember(attempt.credential, client.address, verified)
        # That took its time, in which the password may have been changed; or hashed anew, which is the same epoch.
        now = self._readable(partial(self._lookups.by_name, user.name_key))
        if now is None or now.disabled or (now.id, now.epoch) != (user.id, user.epoch):
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

    def foresee_bearer(self, token: Secret, client: Client, shown: str | None = None) -> Foreseen | None:
        """Do as ``foresee_basic`` does, for ``bearer``; without ``shown``, for the caller alone."""
        key = None if shown is None else names.lookup_key(shown)
        if shown is not None and key is None:
            return None
        if self._remembered.stored_value(self._remembered.name_of(None, token), client.address) is None:
            return None
        named: list[UserKey] = [] if key is None else [(key, 0)]
        return self._lookups.foresee(names=named, digests=self._keys.token_digests(token))

    def bearer(self, token: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
        """Check an API token: one look-up for the secret keys in service, however many users there are."""
        credential = self._remembered.name_of(None, token)
        is_known = self._remembered.stored_value(credential, client.address) is not None
        if not is_known:
            self._limiter.refuse_known(client, credential=credential)
            self._limiter.admit(client)
            self._meter.count(CREDENTIALS, "no")
        for digest in self._keys.token_digests(token):
            user = self._readable(partial(self._lookups.by_token, digest, foreseen))
            if user and not user.disabled:
                self._remembered.remember(credential, client.address, digest)
                caller = self._by_token(user, token, client)
                return self._known(caller) if is_known else caller
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
        if caller.session and self._store.records.find(*caller.session, now=self._clock()) is None:
            raise NotAuthenticatedError

    def _user_named(self, user_name: str, foreseen: Foreseen = NOTHING) -> User | None:
        key = names.lookup_key(user_name)
        return None if key is None else self._readable(partial(self._lookups.by_name, key, foreseen=foreseen))

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
            self._store.replace(user, after, ())  # it is the same token: nothing has happened
        except (RevisionMismatchError, TokenInUseError, UnavailableError):
            return Caller(user, client, digests)  # the token works as it is, and the next request tries again
        return Caller(after, client, digests)


def _shared_digest(user: User, digests: tuple[str, ...]) -> str | None:
    return next((digest for digest in digests if digest in user.token_digests), None)
