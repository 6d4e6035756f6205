"""Accounts: creating, reading, changing and deleting them. Every surface and the command line come through here."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from models.account_rules import AccountRules, Changes, CheckedChanges, new_token
from models.credentials import Authenticator, Caller
from models.errors import (
    EmailInUseError,
    InvalidParametersError,
    PreconditionFailedError,
    RevisionMismatchError,
    TokenInUseError,
    UnavailableError,
    UserExistsError,
    UserNotFoundError,
)
from models.login_limiter import LoginLimiter
from models.lookups import NOTHING, Foreseen, Lookups
from models.names import UserName
from models.secret import Secret
from models.storage import Store
from models.user import OAuth, User, new_user_id

Precondition = Callable[[User], bool]

# Seconds for one change to get its turn among others of the same user, and the longest pause between two tries.
_PATIENCE = 3.0
_LONGEST_PAUSE = 0.005


class Accounts:
    """The accounts of one store.

    ``caller`` is who asks. Its credential is checked once more right before the write, so that one which was revoked
    while a hash was being made changes nothing. ``None`` is the operator at the command line, who has none.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        rules: AccountRules,
        *,
        authenticator: Authenticator,
        limiter: LoginLimiter,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._lookups = lookups
        self._rules = rules
        self._authenticator = authenticator
        self._limiter = limiter
        self._clock = clock

    def get(
        self, user_name: str, oauth: OAuth = 0, *, caller: Caller | None = None, foreseen: Foreseen = NOTHING
    ) -> User:
        """Return the user. Raises ``InvalidParametersError`` for what cannot be a name, and ``UserNotFoundError``."""
        name = self._rules.name(user_name)
        if caller is not None and caller.user.has_name(name.key, oauth):
            return caller.user  # as it was read for this very request
        return self._find(name, oauth, foreseen)

    def create(self, caller: Caller | None, user_name: str, fields: Changes, oauth: OAuth = 0) -> User:
        """Add a user; without a token in ``fields`` it gets a random one that nobody sees.

        Raises ``InvalidParametersError`` and ``UserExistsError``. Of simultaneous creates one wins.
        """
        checked = self._rules.check(user_name, fields, oauth, creating=True)
        # This read only spares the hashing: the store's unique index decides.
        if self._lookups.by_name(checked.user_name.key, oauth) is not None:
            raise UserExistsError
        with self._values_named(caller, fields):
            user = self._new_user(caller, checked, oauth)
            if caller is not None:
                self._authenticator.recheck(caller)
            self._store.insert([user])
        return user

    def create_first_admin(self, user_name: str, fields: Changes) -> bool:
        """Add an admin if the store has none, and return whether this call did; one atomic insert decides.

        Raises ``InvalidParametersError``, and ``UserExistsError`` if somebody who is no admin has the name.
        """
        if self._store.has_admin():
            return False
        checked = self._rules.check(user_name, {**fields, "user_group": "admin"}, creating=True)
        with self._values_named(None, fields):
            return self._store.insert_first_admin(self._new_user(None, checked, 0))

    def has_admin(self) -> bool:
        """Tell whether the store has an enabled ordinary admin with a password."""
        return self._store.has_admin()

    def update(
        self,
        caller: Caller | None,
        user_name: str,
        changes: Changes,
        oauth: OAuth = 0,
        precondition: Precondition | None = None,
    ) -> User:
        """Change the given fields. Raises as ``get`` does, and ``PreconditionFailedError`` and ``LastAdminError``."""
        with self._values_named(caller, changes):
            return self._update(caller, user_name, changes, oauth, precondition)

    def refresh(self, caller: Caller | None, user_name: str, oauth: OAuth = 0) -> Secret:
        """Give the user a new random token and return it, the only time that it is shown. Raises as ``get`` does."""
        token = new_token()
        self._update(caller, user_name, {"token": token}, oauth, None)
        return token

    def delete(
        self,
        caller: Caller | None,
        user_name: str,
        oauth: OAuth = 0,
        precondition: Precondition | None = None,
    ) -> None:
        """Remove a user. Raises as ``get`` does, and ``PreconditionFailedError`` and ``LastAdminError``."""

        def write(user: User) -> User:
            self._store.delete(user)
            return user

        self._compare_and_set(caller, self._rules.name(user_name), oauth, precondition, write)

    def _update(
        self,
        caller: Caller | None,
        user_name: str,
        changes: Changes,
        oauth: OAuth,
        precondition: Precondition | None,
    ) -> User:
        checked = self._rules.check(user_name, changes, oauth)
        _meet(precondition, self._find(checked.user_name, oauth))
        columns = self._rules.hashed(checked, _asker(caller))

        def write(before: User) -> User:
            after = before.changed(self._clock(), **columns)
            self._store.replace(before, after)
            return after

        return self._compare_and_set(caller, checked.user_name, oauth, precondition, write)

    @contextmanager
    def _values_named(self, caller: Caller | None, changes: Changes) -> Iterator[None]:
        """Turn the store's word that a value is another's into the field's rule; it does not say whose.

        That a token is another's tells a credential, so whoever named it has failed to log in, and has to wait as long.
        """
        if caller is not None and "token" in changes:
            self._limiter.admit(caller.client, caller.user.name_key, is_known=True)
        try:
            yield
        except EmailInUseError as error:
            raise InvalidParametersError({"email": ["It is in use."]}) from error
        except TokenInUseError as error:
            if caller is not None:
                self._limiter.failed(caller.client, caller.user.name_key, is_known=True)
            raise InvalidParametersError({"token": ["It cannot be taken; choose another."]}) from error

    def _find(self, name: UserName, oauth: OAuth, foreseen: Foreseen = NOTHING) -> User:
        user = self._lookups.by_name(name.key, oauth, foreseen)
        if user is None:
            raise UserNotFoundError
        return user

    def _new_user(self, caller: Caller | None, checked: CheckedChanges, oauth: OAuth) -> User:
        columns: dict[str, Any] = {
            "password_hash": None,
            "name": None,
            "email": None,
            "email_key": None,
            "user_group": "noob",
            "disabled": False,
        }
        columns |= self._rules.hashed(checked, _asker(caller))
        now = self._clock()
        return User(
            id=new_user_id(now),
            user_name=checked.user_name.shown,
            name_key=checked.user_name.key,
            oauth=oauth,
            epoch=1,
            revision=1,
            created_at=now,
            updated_at=now,
            **columns,
        )

    def _compare_and_set(
        self,
        caller: Caller | None,
        name: UserName,
        oauth: OAuth,
        precondition: Precondition | None,
        write: Callable[[User], User],
    ) -> User:
        """Read, check and write until the write meets the revision that was read. Each lost turn is another's gain.

        Raises ``UnavailableError`` when too many others went first.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            user = self._find(name, oauth)
            _meet(precondition, user)
            if caller is not None:
                self._authenticator.recheck(caller, user)
            try:
                return write(user)
            except RevisionMismatchError:
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - it parts those who compete, and guards nothing
        raise UnavailableError("the user is being changed by too many at once")


def _meet(precondition: Precondition | None, user: User) -> None:
    if precondition is not None and not precondition(user):
        raise PreconditionFailedError


def _asker(caller: Caller | None) -> str:
    """Return for whom hashing is asked for."""
    return caller.user.id if caller is not None else "operator"
