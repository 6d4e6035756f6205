"""The shapes of the audit trail."""

from marshmallow import fields, validate

from api.description.shapes import Shape, moment, text
from models.events import Kind


class EventParty(Shape):
    """Who did something, or whom it was done to, as they were called then."""

    id = text("The user's id; null for the command line and the system.", allow_none=True)
    name = text("The user's name.")
    oauth = fields.Integer(required=True, validate=validate.OneOf([0, 1]))


class ShownEvent(Shape):
    """One security event."""

    id = text("Sorts by time.")
    at = moment("When it happened; of what is added up, the beginning of its minute.")
    kind = text("What happened.", validate=validate.OneOf([str(kind) for kind in Kind]))
    actor = fields.Nested(EventParty, required=True, allow_none=True)
    subject = fields.Nested(EventParty, required=True, allow_none=True)
    address = text("Of the client, or the network in which failed logins are added up; may be empty.")
    request_id = text("That of the answer's `X-Request-ID`; empty for what is added up.")
    surface = text("The way in; empty for what is added up.")
    details = fields.Dict(required=True, keys=fields.String(), metadata={"description": "What the kind calls for."})


class EventList(Shape):
    """A page of events."""

    events = fields.List(fields.Nested(ShownEvent), required=True)
