"""Checking what a caller presents, and knowing later whether it still opens the door."""

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from models import names
from models.errors import (
    CorruptRecordError,
    NotAuthenticatedError,
    RevisionMismatchError,
    TokenInUseError,
    UnavailableError,
)
from models.passwords import Hasher, presented_password
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from models.user import User

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the user as it was read for this request, and what it proved itself with."""

    user: User
    token_digests: tuple[str, ...] | None = None  # None: by password

    def is_still(self, user: User | None) -> bool:
        """Tell whether the credential that this caller presented opens ``user``, a later state of the same account."""
        if user is None or user.id != self.user.id or user.disabled:
            return False
        if user.user_group != self.user.user_group:
            return False
        if self.token_digests is not None:
            return _shares_digest(user, self.token_digests)
        return user.epoch == self.user.epoch


class Authenticator:
    """Turns credentials into callers. Each refusal is the same ``NotAuthenticatedError``, after the same time."""

    def __init__(self, store: Store, hasher: Hasher, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._hasher = hasher
        self._keys = keys
        self._clock = clock

    def basic(self, user_name: str, secret: Secret) -> Caller:
        """Check a user name with the user's password, or with the user's token in the password's place."""
        key = names.lookup_key(user_name)
        user = self._readable(partial(self._store.find, key)) if key is not None else None
        digests = self._keys.token_digests(secret)
        if user and not user.disabled and _shares_digest(user, digests):
            return Caller(self._carried_over(user, digests), digests)
        hashed = user.password_hash if user else None
        if self._hasher.verify(presented_password(secret), hashed) and user and not user.disabled:
            return Caller(user)
        raise NotAuthenticatedError

    def bearer(self, token: Secret) -> Caller:
        """Check an API token: one look-up a secret key in service, however many users there are."""
        digests = self._keys.token_digests(token)
        for digest in digests:
            user = self._readable(partial(self._store.find_by_token, digest))
            if user and not user.disabled:
                return Caller(self._carried_over(user, digests), digests)
        raise NotAuthenticatedError

    def recheck(self, caller: Caller, target: User | None = None) -> None:
        """Raise ``NotAuthenticatedError`` if the caller's credential was revoked since it was checked.

        ``target`` is the user that is about to be changed, as just read: a caller who changes itself is compared with
        the very state that the write is conditional on, which leaves no gap.
        """
        oneself = target is not None and target.id == caller.user.id
        if not caller.is_still(target if oneself else self._store.find_by_id(caller.user.id)):
            raise NotAuthenticatedError

    def _readable(self, look_up: Callable[[], User | None]) -> User | None:
        """Return the user; one that cannot be read is refused like one who is not there, and is logged."""
        try:
            return look_up()
        except CorruptRecordError as error:
            # The trace would say no more.
            logger.error("The user with the id %s is not as Doorman writes users.", error.record_id)  # noqa: TRY400 - see above
            return None

    def _carried_over(self, user: User, digests: tuple[str, ...]) -> User:
        """Give the user's token a digest under each key in service, so that it outlives a rotation it was used in."""
        if set(digests) <= set(user.token_digests):
            return user
        after = user.changed(self._clock(), token_digests=digests)
        try:
            self._store.replace(user, after)
        except (RevisionMismatchError, TokenInUseError, UnavailableError):
            return user  # the token works as it is, and the next request tries again
        return after


def _shares_digest(user: User, digests: tuple[str, ...]) -> bool:
    return any(hmac.compare_digest(own, other) for own in user.token_digests for other in digests)
