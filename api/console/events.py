"""What has happened to an account lately: its events in the audit trail, and the logins whose sessions go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.events import Event, Kind
from models.sessions import Session

MOST_EVENTS = 20
_TOLD = {
    Kind.USER_CREATED: "Account created",
    Kind.USER_UPDATED: "Details changed",
    Kind.USER_DELETED: "Account deleted",
    Kind.USER_DISABLED: "Disabled",
    Kind.USER_ENABLED: "Enabled",
    Kind.GROUP_CHANGED: "Group changed",
    Kind.PASSWORD_CHANGED: "Password changed",
    Kind.TOKEN_CREATED: "API token changed",
    Kind.LOGIN_FAILED: "Login failed",
    Kind.LOGIN_REFUSED: "Login refused, after others had failed",
    Kind.SESSION_REVOKED: "Session ended",
}


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One thing that happened, in words; ``by`` is who did it, and ``session`` what a login began."""

    at: datetime
    what: str
    more: str = ""
    by: str | None = None
    address: str = ""
    session: Session | None = None


def recent_events(events: Sequence[Event], sessions: Sequence[Session]) -> list[ShownEvent]:
    """Return the last of both, the latest first."""
    logins = [ShownEvent(one.created_at, "Login", address=one.address, session=one) for one in sessions]
    told = [_shown(event) for event in events]
    return sorted([*logins, *told], key=lambda event: event.at, reverse=True)[:MOST_EVENTS]


def _shown(event: Event) -> ShownEvent:
    by = None if event.actor is None else event.actor.name
    return ShownEvent(event.at, _TOLD.get(event.kind, str(event.kind)), _more(event), by, event.address)


def _more(event: Event) -> str:
    details = event.details
    match event.kind:
        case Kind.GROUP_CHANGED:
            return f"from {details.get('from')} to {details.get('to')}"
        case Kind.LOGIN_FAILED | Kind.LOGIN_REFUSED:
            names = details.get("names")
            # Where several names were tried from there, nobody knows how often this one was.
            several = isinstance(names, list) and len(names) > 1
            return f"{details.get('count')} times{', at several names' if several else ''}"
        case Kind.SESSION_REVOKED if details.get("sessions") != 1:
            return f"all {details.get('sessions')}"
    return ""
