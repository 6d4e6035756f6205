"""Events of the audit trail, as every store keeps them. None of them ever holds a secret."""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from models.user import OAuth

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# An id's hex digits: the time in milliseconds; the revision that the change made, which puts a user's changes in one
# millisecond into their order; what tells it from others; and the place among the events of one change.
_TIME_DIGITS, _ORDER_DIGITS, _RANDOM_DIGITS, _PLACE_DIGITS = 12, 8, 10, 2
ID_LENGTH = _TIME_DIGITS + _ORDER_DIGITS + _RANDOM_DIGITS + _PLACE_DIGITS
_HEX_DIGITS = frozenset("0123456789abcdef")
_LAST_ORDER = 16**_ORDER_DIGITS - 1

Detail = str | int | bool | Sequence[str] | None


class Kind(StrEnum):
    """What can happen. The words are those of OWASP's Logging Vocabulary, as far as it has any for it."""

    USER_CREATED = "user_created"
    USER_UPDATED = "user_updated"
    USER_DELETED = "user_deleted"
    USER_DISABLED = "user_disabled"  # ours, as the next
    USER_ENABLED = "user_enabled"
    GROUP_CHANGED = "authz_change"
    PASSWORD_CHANGED = "authn_password_change"  # noqa: S105 - a word
    TOKEN_CREATED = "authn_token_created"  # noqa: S105 - a word
    LOGIN_FAILED = "authn_login_fail"
    LOGIN_REFUSED = "excess_rate_limit_exceeded"
    SESSION_REVOKED = "session_revoked"  # ours, as all that follow
    KEY_ROTATED = "key_rotated"
    KEY_RETIRED = "key_retired"
    SECRET_KEY_CHANGED = "secret_key_changed"  # noqa: S105 - a word
    USERS_IMPORTED = "users_imported"
    IMPORT_ENDED = "import_ended"
    USERS_EXPORTED = "users_exported"


@dataclass(frozen=True, slots=True)
class Party:
    """Whom an event is about, or who brought it about, as they were called then.

    Without an id it is nobody's account; then the name has a space in it, as no user's has.
    """

    id: str | None
    name: str
    key: str  # the mapped name
    oauth: OAuth = 0


SYSTEM = Party(None, "the system", "the system")
COMMAND_LINE = Party(None, "command line", "command line")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. It is never changed, but for those of failed logins while their minute lasts.

    These are added up: their ``details`` have a ``count``, and lists in which each value stands once.
    """

    id: str  # sorts by time
    kind: Kind
    actor: Party | None  # who fails to log in is nobody
    subject: Party | None
    address: str  # of the client; a network where many are counted as one, and empty where there is none
    request_id: str
    surface: str
    details: Mapping[str, Detail] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it happened, in UTC to the millisecond."""
        return _EPOCH + int(self.id[:_TIME_DIGITS], 16) * _MILLISECOND

    @property
    def terms(self) -> tuple[str, ...]:
        """What it is found by."""
        terms = [term("kind", self.kind), term("address", self.address)]
        for role, party in (("actor", self.actor), ("subject", self.subject)):
            if party is not None:
                terms.append(term(role, party.key))
                terms.extend([] if party.id is None else [term(role, party.id)])
        names = self.details.get("names")
        if isinstance(names, Sequence) and not isinstance(names, str):
            terms.extend(term("tried", digest) for digest in names)
        return tuple(dict.fromkeys(terms))


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events a page is to have: those that meet one term of each of ``terms``, with ids from ``low`` on.

    Their ids come before ``below``; the rarest terms are best given first.
    """

    terms: Sequence[Collection[str]] = ()
    low: str = ""
    below: str = "g"  # which comes after every hex digit


def is_event_id(text: str) -> bool:
    return len(text) == ID_LENGTH and _HEX_DIGITS.issuperset(text)


def term(role: str, value: str) -> str:
    """Return what an event with this value in this role is found by."""
    return f"{role} {value}"


def first_id_at(moment: datetime) -> str:
    """Return what no id of an event at ``moment`` or later comes before."""
    return f"{max(0, (moment - _EPOCH) // _MILLISECOND):0{_TIME_DIGITS}x}"


def event_ids(moment: datetime, order: int = 0) -> Iterable[str]:
    """Yield the ids of the events of one change, in their order."""
    stem = f"{first_id_at(moment)}{min(order, _LAST_ORDER):0{_ORDER_DIGITS}x}{secrets.token_hex(_RANDOM_DIGITS // 2)}"
    return (f"{stem}{place:0{_PLACE_DIGITS}x}" for place in range(16**_PLACE_DIGITS))


def tally_id(minute: datetime, digest: str) -> str:
    """Return the id of what is added up in a minute, under a digest of what it is added up for."""
    return first_id_at(minute) + digest[: ID_LENGTH - _TIME_DIGITS]
