"""The shapes of what operators ask of the service."""

from marshmallow import fields

from api.description.shapes import Shape, moment, only, text


class StoreStatus(Shape):
    """The store."""

    kind = text("`sqlite` or `mongodb`.")
    schema_version = fields.Integer(required=True, allow_none=True, metadata={"description": "null if it has none."})
    answers = only(value=True)
    answered_in_ms = fields.Float(required=True)


class Status(Shape):
    """What is running."""

    version = text("Doorman's.")
    workers = fields.Integer(required=True)
    surfaces = fields.List(fields.String(), required=True)
    started_at = moment("When the service started.")
    uptime_seconds = fields.Integer(required=True)
    store = fields.Nested(StoreStatus, required=True)
