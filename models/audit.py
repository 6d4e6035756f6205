"""Reading the audit trail."""

from dataclasses import dataclass
from datetime import datetime

from models import names
from models.clients import client_at, plain_address
from models.events import Event, Kind, Sought, first_id_at, term
from models.login_failures import NAME_DIGITS
from models.secret_key import KeyRing
from models.storage import Audit
from models.user import User

MAX_EVENTS = 1000  # of one page


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; ``None`` is no condition. ``actor`` and ``subject`` are user names, or users' ids."""

    kind: Kind | None = None
    actor: str | None = None
    subject: str | None = None
    address: str | None = None
    since: datetime | None = None  # this time, or later
    until: datetime | None = None  # before this time
    after: str | None = None  # what comes after the event of this id, in the order of the list


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, the newest first; ``next_after`` leads to the next page, if there is one."""

    events: list[Event]
    next_after: str | None


class AuditTrail:
    """The audit trail of one store, to be read."""

    def __init__(self, audit: Audit, keys: KeyRing) -> None:
        self._audit = audit
        self._keys = keys

    def page(self, wanted: EventFilter, limit: int) -> EventPage:
        """Return a page of events. Of failed logins, those at the name of ``subject`` are among them."""
        found = self._audit.find(self._sought(wanted), limit=limit + 1)
        has_more = len(found) > limit
        return EventPage(found[:limit], found[limit - 1].id if has_more else None)

    def about(self, user: User, limit: int) -> list[Event]:
        """Return the last events about a user, failed logins at its name among them."""
        terms = [term("subject", user.id), *self._tried(user.name_key)]
        return self._audit.find(Sought([terms]), limit=limit)

    def _sought(self, wanted: EventFilter) -> Sought:
        terms: list[list[str]] = []
        if wanted.subject is not None:
            key = _key_of(wanted.subject)
            terms.append([term("subject", key), term("subject", wanted.subject), *self._tried(key)])
        if wanted.actor is not None:
            terms.append([term("actor", _key_of(wanted.actor)), term("actor", wanted.actor)])
        if wanted.address is not None:
            terms.append([term("address", address) for address in _addresses(wanted.address)])
        if wanted.kind is not None:
            terms.append([term("kind", wanted.kind)])
        low = "" if wanted.since is None else first_id_at(wanted.since)
        ends = [] if wanted.until is None else [first_id_at(wanted.until)]
        ends += [] if wanted.after is None else [wanted.after]
        return Sought(terms, low, min(ends, default=Sought().below))

    def _tried(self, name: str) -> list[str]:
        """Return what failed logins at a mapped name are found by."""
        return [term("tried", key.audit_digest("name", name)[:NAME_DIGITS]) for key in self._keys.keys]


def _key_of(name: str) -> str:
    key = names.lookup_key(name)
    return name if key is None else key


def _addresses(asked: str) -> list[str]:
    """Return what events may say of an address: itself, or of an IPv6 one what failed logins are added up by."""
    address = plain_address(asked)
    return [asked] if not address else list(dict.fromkeys([address, client_at(address).address.removesuffix("/32")]))
