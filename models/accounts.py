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
        rules: AccountRules,
        authenticator: Authenticator,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._rules = rules
        self._authenticator = authenticator
        self._clock = clock

    def get(self, user_name: str, oauth: OAuth = 0) -> User:
        """Return the user. Raises ``InvalidParametersError`` for what cannot be a name, and ``UserNotFoundError``."""
        return self._find(self._rules.check(user_name, {}), oauth)

    def create(self, caller: Caller | None, user_name: str, fields: Changes, oauth: OAuth = 0) -> User:
        """Add a user; without a token in ``fields`` it gets a random one that nobody sees.

        Raises ``InvalidParametersError`` and ``UserExistsError``. Of simultaneous creates one wins.
        """
        checked = self._rules.check(user_name, fields, oauth, creating=True)
        # This read only spares the hashing: the store's unique index decides.
        if self._store.find(checked.user_name.key, oauth) is not None:
            raise UserExistsError
        user = self._new_user(checked, oauth)
        if caller is not None:
            self._authenticator.recheck(caller)
        with _values_in_use_named():
            self._store.insert([user])
        return user

    def create_first_admin(self, user_name: str, fields: Changes) -> bool:
        """Add an admin if the store has none, and return whether this call did; one atomic insert decides.

        Raises ``InvalidParametersError``, and ``UserExistsError`` if somebody who is no admin has the name.
        """
        if self._store.has_admin():
            return False
        checked = self._rules.check(user_name, {**fields, "user_group": "admin"}, creating=True)
        with _values_in_use_named():
            return self._store.insert_first_admin(self._new_user(checked, 0))

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
        checked = self._rules.check(user_name, changes, oauth)
        _meet(precondition, self._find(checked, oauth))
        columns = self._rules.hashed(checked)

        def write(before: User) -> User:
            after = before.changed(self._clock(), **columns)
            with _values_in_use_named():
                self._store.replace(before, after)
            return after

        return self._compare_and_set(caller, checked, oauth, precondition, write)

    def refresh(self, caller: Caller | None, user_name: str, oauth: OAuth = 0) -> Secret:
        """Give the user a new random token and return it, the only time that it is shown. Raises as ``get`` does."""
        token = new_token()
        self.update(caller, user_name, {"token": token}, oauth)
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

        self._compare_and_set(caller, self._rules.check(user_name, {}), oauth, precondition, write)

    def _find(self, checked: CheckedChanges, oauth: OAuth) -> User:
        user = self._store.find(checked.user_name.key, oauth)
        if user is None:
            raise UserNotFoundError
        return user

    def _new_user(self, checked: CheckedChanges, oauth: OAuth) -> User:
        columns: dict[str, Any] = {
            "password_hash": None,
            "name": None,
            "email": None,
            "email_key": None,
            "user_group": "noob",
            "disabled": False,
        }
        columns |= self._rules.hashed(checked)
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
        checked: CheckedChanges,
        oauth: OAuth,
        precondition: Precondition | None,
        write: Callable[[User], User],
    ) -> User:
        """Read, check and write until the write meets the revision that was read. Each lost turn is another's gain.

        Raises ``UnavailableError`` when too many others went first.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            user = self._find(checked, oauth)
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


@contextmanager
def _values_in_use_named() -> Iterator[None]:
    """Turn the store's word that a value is another's into the field's rule; it does not say whose."""
    try:
        yield
    except EmailInUseError as error:
        raise InvalidParametersError({"email": ["It is in use."]}) from error
    except TokenInUseError as error:
        raise InvalidParametersError({"token": ["It cannot be taken; choose another."]}) from error
