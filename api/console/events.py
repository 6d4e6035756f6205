"""What has happened to an account lately, as far as the store knows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.sessions import Session
from models.user import User

_MOST = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``session`` is what a login began."""

    at: datetime
    what: Literal["created", "changed", "login"]
    session: Session | None = None


def recent_events(user: User, sessions: list[Session]) -> list[Event]:
    """Return the last events, the latest first. Of logins, those whose sessions go on are known, and of changes one."""
    events = [Event(session.created_at, "login", session) for session in sessions]
    if user.updated_at != user.created_at:
        events.append(Event(user.updated_at, "changed"))
    events.append(Event(user.created_at, "created"))
    return sorted(events, key=lambda event: event.at, reverse=True)[:_MOST]
