"""Accounts: creating, reading, changing and deleting them. Every surface and the command line come through here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from models.account_rules import AccountRules, Asker, Changes, CheckedChanges, new_token
from models.clients import Client
from models.compare_and_set import compare_and_set
from models.credentials import Authenticator, Caller
from models.errors import PreconditionFailedError, UserExistsError, UserNotFoundError
from models.lookups import NOTHING, Foreseen, Lookups
from models.names import UserName
from models.secret import Secret
from models.storage import Store
from models.told_values import ToldValues
from models.trail import Trail
from models.user import OAuth, User, new_user

Precondition = Callable[[User], bool]


@dataclass(frozen=True, slots=True)
class UserId:
    """Names a user by its id, which stays the same when the user is renamed."""

    id: str


Named = str | UserId  # a user, by its name or its id


class Accounts:
    """The accounts of one store.

    ``caller`` is who asks. Its credential is checked once more right before the write, so that one which was revoked
    while a hash was being made changes nothing. ``None`` is the operator at the command line, who has none.

    A user is named by its name and its kind, ``oauth``, or by its id alone.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        rules: AccountRules,
        *,
        authenticator: Authenticator,
        values: ToldValues,
        trail: Trail,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._lookups = lookups
        self._rules = rules
        self._authenticator = authenticator
        self._values = values
        self._trail = trail
        self._clock = clock

    def get(
        self, named: Named, oauth: OAuth = 0, *, caller: Caller | None = None, foreseen: Foreseen = NOTHING
    ) -> User:
        """Return the user. Raises ``InvalidParametersError`` for what cannot be a name, and ``UserNotFoundError``."""
        if isinstance(named, UserId):
            return _found(self._lookups.by_id(named.id))
        name = self._rules.name(named)
        if caller is not None and caller.user.has_name(name.key, oauth):
            return caller.user  # as it was read for this very request
        return _found(self._lookups.by_name(name.key, oauth, foreseen))

    def create(self, caller: Caller | None, user_name: str, fields: Changes, oauth: OAuth = 0) -> User:
        """Add a user; without a token in ``fields`` it gets a random one that nobody sees.

        Raises ``InvalidParametersError`` and ``UserExistsError``. Of simultaneous creates one wins.
        """
        checked = self._new_name(user_name, fields, oauth)
        with self._values.named(caller, fields):
            user = self._new_user(_asker(caller), checked, oauth)
            if caller is not None:
                self._authenticator.recheck(caller)
            self._store.insert([user], self._trail.created(_user_of(caller), user))
        return user

    def register(
        self, client: Client, user_name: str, password: Secret, admit: Callable[[], None], *, email: str | None = None
    ) -> User:
        """Add a user for somebody who is not known yet, once ``admit`` lets them go on to what costs something.

        Raises as ``create`` does, but ``EmailInUseError`` for an address that is another's.
        """
        checked = self._new_name(user_name, {"password": password, "email": email}, 0)
        admit()
        user = self._new_user(client, checked, 0)
        self._store.insert([user], self._trail.created(user, user))
        return user

    def create_oauth(self, client: Client, user_name: str, fields: Changes) -> User:
        """Add an OAuth user whom an issuer has named. Raises as ``create`` does."""
        checked = self._new_name(user_name, fields, 1)
        user = self._new_user(client, checked, 1)
        self._store.insert([user], self._trail.created(user, user))
        return user

    def create_first_admin(self, user_name: str, fields: Changes) -> bool:
        """Add an admin if the store has none, and return whether this call did; one atomic insert decides.

        Raises ``InvalidParametersError``, and ``UserExistsError`` if somebody who is no admin has the name.
        """
        if self._store.has_admin():
            return False
        checked = self._rules.check(user_name, {**fields, "user_group": "admin"}, creating=True)
        with self._values.named(None, fields):
            user = self._new_user(_asker(None), checked, 0)
            return self._store.insert_first_admin(user, self._trail.created(None, user))

    def has_admin(self) -> bool:
        """Tell whether the store has an enabled ordinary admin with a password."""
        return self._store.has_admin()

    def update(
        self,
        caller: Caller | None,
        named: Named,
        changes: Changes,
        oauth: OAuth = 0,
        precondition: Precondition | None = None,
    ) -> User:
        """Change the given fields. Raises as ``get`` does, and ``PreconditionFailedError`` and ``LastAdminError``."""
        with self._values.named(caller, changes):
            return self._update(caller, named, changes, oauth, precondition)

    def refresh(
        self, caller: Caller | None, named: Named, oauth: OAuth = 0, precondition: Precondition | None = None
    ) -> Secret:
        """Give the user a new random token and return it, the only time that it is shown. Raises as ``update``."""
        token = new_token()
        self._update(caller, named, {"token": token}, oauth, precondition)
        return token

    def delete(
        self, caller: Caller | None, named: Named, oauth: OAuth = 0, precondition: Precondition | None = None
    ) -> None:
        """Remove a user. Raises as ``get`` does, and ``PreconditionFailedError`` and ``LastAdminError``."""

        def write(user: User) -> User:
            self._store.delete(user, self._trail.deleted(_user_of(caller), user))
            return user

        self._compare_and_set(caller, UserId(self.get(named, oauth, caller=caller).id), precondition, write)

    def _update(
        self, caller: Caller | None, named: Named, changes: Changes, oauth: OAuth, precondition: Precondition | None
    ) -> User:
        if isinstance(named, UserId):
            user = self.get(named)
            checked = self._rules.check(user.user_name, changes, user.oauth)
        else:
            checked = self._rules.check(named, changes, oauth)
            user = self.get(named, oauth, caller=caller)
        _meet(precondition, user)
        if checked.user_name.key != user.name_key:
            self._refuse_taken(checked.user_name, user.oauth)
        columns = self._rules.hashed(checked, _asker(caller))

        def write(before: User) -> User:
            after = before.changed(self._clock(), **columns)
            self._store.replace(before, after, self._trail.changed(_user_of(caller), before, after))
            return after

        return self._compare_and_set(caller, UserId(user.id), precondition, write)

    def _compare_and_set(
        self,
        caller: Caller | None,
        named: UserId,
        precondition: Precondition | None,
        write: Callable[[User], User],
    ) -> User:
        """Change the very user that access was decided for: by now its name may be another's."""

        def read() -> User:
            user = self.get(named)
            _meet(precondition, user)
            if caller is not None:
                self._authenticator.recheck(caller, user)
            return user

        return compare_and_set(read, write)

    def _new_name(self, user_name: str, fields: Changes, oauth: OAuth) -> CheckedChanges:
        checked = self._rules.check(user_name, fields, oauth, creating=True)
        self._refuse_taken(checked.user_name, oauth)
        return checked

    def _refuse_taken(self, name: UserName, oauth: OAuth) -> None:
        """Spare the hashing for a name that is taken; the store's unique index decides."""
        if self._lookups.by_name(name.key, oauth) is not None:
            raise UserExistsError

    def _new_user(self, asker: Asker, checked: CheckedChanges, oauth: OAuth) -> User:
        columns = self._rules.hashed(checked, asker)
        return new_user(checked.user_name, oauth, columns, self._clock())


def _found(user: User | None) -> User:
    if user is None:
        raise UserNotFoundError
    return user


def _meet(precondition: Precondition | None, user: User) -> None:
    if precondition is not None and not precondition(user):
        raise PreconditionFailedError


def _user_of(caller: Caller | None) -> User | None:
    return None if caller is None else caller.user


def _asker(caller: Caller | None) -> Asker:
    """Return for whom hashing is asked for; people who can make accounts for themselves wait by where they are."""
    if caller is None:
        return "operator"
    return caller.user.id if caller.user.user_group == "admin" else caller.client
