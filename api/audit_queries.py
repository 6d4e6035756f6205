"""What the audit trail can be asked for, and the shape in which it is shown."""

from typing import Any

from marshmallow import ValidationError, validate

from api.moments import MOMENT_RULE, read_moment
from api.schemas import Digits, Strict, Text, iso_time, means
from api.value_shapes import EVENT_ID, MOMENT
from models.audit import MAX_EVENTS, EventFilter
from models.events import Event, Kind, Party, is_event_id

DEFAULT_EVENTS = 100
_KIND = validate.OneOf([str(kind) for kind in Kind], error="It must be one of: {choices}.")


class EventId(Text):
    """The id of an event."""

    def _deserialize(self, value: Any, *rest: Any, **named: Any) -> Any:
        text = super()._deserialize(value, *rest, **named)
        if not is_event_id(text):
            raise ValidationError("It must be the id of an event.")
        return text


class Moment(Text):
    """A time."""

    def _deserialize(self, value: Any, *rest: Any, **named: Any) -> Any:
        moment = read_moment(super()._deserialize(value, *rest, **named))
        if moment is None:
            raise ValidationError(MOMENT_RULE)
        return moment


class AuditQuery(Strict):
    """The query of the audit trail."""

    limit = Digits(1, MAX_EVENTS, load_default=DEFAULT_EVENTS, meaning="The most events of a page.")
    after = EventId(
        load_default=None, metadata=means("List what comes after the event of this id, which is older.", **EVENT_ID)
    )
    kind = Text(load_default=None, validate=_KIND, metadata=means("List events of this kind."))
    actor = Text(load_default=None, metadata=means("List what was done by this user: its name or its id."))
    subject = Text(
        load_default=None,
        metadata=means("List what was done to this user: its name or its id. Failed logins at its name are among it."),
    )
    address = Text(
        load_default=None, metadata=means("List what came from this IP address, or a network as events have it.")
    )
    since = Moment(load_default=None, metadata=means("List what happened at this time or later.", **MOMENT))
    until = Moment(load_default=None, metadata=means("List what happened before this time.", **MOMENT))


AUDIT_QUERY = AuditQuery()


def event_filter(asked: dict[str, Any]) -> EventFilter:
    """Return what a checked query, without its limit, wants."""
    kind = asked.pop("kind")
    return EventFilter(kind=None if kind is None else Kind(kind), **asked)


def dump_event(event: Event) -> dict[str, Any]:
    """Return the shape in which an event is shown everywhere."""
    return {
        "id": event.id,
        "at": iso_time(event.at),
        "kind": str(event.kind),
        "actor": _dump_party(event.actor),
        "subject": _dump_party(event.subject),
        "address": event.address,
        "request_id": event.request_id,
        "surface": event.surface,
        "details": dict(event.details),
    }


def _dump_party(party: Party | None) -> dict[str, Any] | None:
    return None if party is None else {"id": party.id, "name": party.name, "oauth": party.oauth}
