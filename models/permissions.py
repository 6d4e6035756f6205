"""Who may do what to whom: the contract's table of groups."""

from collections.abc import Collection
from enum import Enum

from models import names
from models.credentials import Caller
from models.errors import AccessDeniedError
from models.user import OAuth, UserGroup


class Action(Enum):
    """What can be done to accounts."""

    LIST = "list"
    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    REFRESH = "refresh"
    DELETE = "delete"
    STATUS = "status"  # of the service
    AUDIT = "audit"  # to read what has happened
    SESSIONS = "sessions"  # to see them, and to end them


_TO_ONESELF = frozenset({Action.READ, Action.UPDATE, Action.REFRESH, Action.DELETE, Action.SESSIONS})
_TO_ANYONE = {
    "noob": frozenset[Action](),
    "manager": frozenset({Action.LIST, Action.READ}),
    "admin": frozenset(Action),
}


def require(caller: Caller, action: Action, user_name: str | None = None, oauth: OAuth = 0) -> None:
    """Raise ``AccessDeniedError`` unless ``caller`` may do ``action`` to the named user, who need not exist."""
    if action in _TO_ANYONE[caller.user.user_group]:
        return
    if user_name is not None and action in _TO_ONESELF and is_oneself(caller, user_name, oauth):
        return
    raise AccessDeniedError


def require_group_change(caller: Caller) -> None:
    """Raise ``AccessDeniedError`` unless ``caller`` may decide which group a user is in, themselves included."""
    if caller.user.user_group != "admin":
        raise AccessDeniedError


def require_group(caller: Caller, groups: Collection[UserGroup]) -> None:
    """Raise ``AccessDeniedError`` unless ``caller`` is in one of the groups; none of them includes another."""
    if caller.user.user_group not in groups:
        raise AccessDeniedError


def may_see_hashes(caller: Caller, user_id: str) -> bool:
    """Tell whether the caller is shown the user's hashes; a hash is material to crack, so a manager is not."""
    return caller.user.user_group == "admin" or caller.user.id == user_id


def is_oneself(caller: Caller, user_name: str, oauth: OAuth = 0) -> bool:
    return (caller.user.name_key, caller.user.oauth) == (names.lookup_key(user_name), oauth)
