"""The shapes of answers, and of those bodies of which more is to be said than their schemas know.

The tests hold every answer to them.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from api.value_shapes import NEW_PASSWORD
from models.user import USER_GROUPS


class Shape(Schema):
    """The members of an object that are sure to be there; more may come with a later version."""

    class Meta:
        unknown = EXCLUDE


def text(description: str, said: Mapping[str, Any] | None = None, **more: Any) -> fields.String:
    """Return a field; what else is ``said`` of it, is said in JSON Schema."""
    return fields.String(required=True, metadata={"description": description, **(said or {})}, **more)


def new_password() -> fields.String:
    return text("8 code points to 72 bytes of UTF-8, not a common one.", NEW_PASSWORD)


def hash_text(description: str) -> fields.String:
    return text(f"{description}; null for those who may not see it.", allow_none=True)


def moment(description: str) -> fields.String:
    return fields.String(required=True, metadata={"description": description, "format": "date-time"})


def only(*, value: bool) -> fields.Boolean:
    return fields.Boolean(required=True, validate=validate.Equal(value))


def group() -> fields.String:
    return text("The user's group.", validate=validate.OneOf(USER_GROUPS))


# The v2 surface, and what is no surface's own.


class Problem(Shape):
    """Problem details (RFC 9457)."""

    type = text("A URI that names the kind of problem; about:blank says no more than the status.")
    title = text("The status in words.")
    status = fields.Integer(required=True, metadata={"description": "The status.", "minimum": 400, "maximum": 599})
    detail = text("What is wrong, in a sentence.")


class Missing(Shape):
    """There are no parameters, or they are not one JSON object."""

    missing_parameters = only(value=True)
    detail = fields.String(metadata={"description": "What is wrong with the body, if it is not just empty."})


def rules() -> fields.Dict:
    return fields.Dict(required=True, keys=fields.String(), values=fields.List(fields.String()))


class Invalid(Shape):
    """Each field that breaks rules, with their sentences."""

    invalid_parameters = rules()


class NoAccess(Shape):
    """The caller may not do this, whether or not its object exists."""

    access_allowed = only(value=False)


class UserExists(Shape):
    """Another user has this name."""

    user_exists = only(value=True)


class NoSuchUser(Shape):
    """No user has this name."""

    user_exists = only(value=False)


class UserNames(Shape):
    """Names of users, in order."""

    users = fields.List(fields.String(), required=True)


class ShownUser(Shape):
    """A user as the v2 surface shows it."""

    user_name = text("The name, as it was given.")
    password = hash_text("The bcrypt hash of the password, if there is one")
    token = hash_text("The bcrypt hash of the API token")


class ObjectId(Shape):
    """An id as MongoDB's extended JSON has it."""

    oid = text("24 hex digits, never reused.", data_key="$oid")


class UpdatedUser(ShownUser):
    """A user that has been changed, with its id."""

    id = fields.Nested(ObjectId, required=True, data_key="_id")


class RawToken(Shape):
    """An API token, shown this once."""

    token = text("43 characters of base64url, 256 random bits.")


class Nothing(Shape):
    """An empty object."""


class ShownSession(Shape):
    """A session; its id names it, and opens nothing."""

    id = text("What names the session in this API.")
    kind = text("What it was begun by.", validate=validate.OneOf(("session", "user_key", "token")))
    created_at = moment("When it began.")
    last_used_at = moment("When it was last used, to the minute.")
    expires_at = moment("When it ends, if it is not used until then.")
    address = text("The address that it was begun from.")
    user_agent = text("What the client called itself then.")


class SessionList(Shape):
    """The sessions that open a user, the one that began last first."""

    sessions = fields.List(fields.Nested(ShownSession), required=True)


class Revoked(Shape):
    """How many sessions were ended."""

    revoked = fields.Integer(required=True, metadata={"minimum": 0})


class Health(Shape):
    """It is well."""

    status = text("ok, and nothing else.", validate=validate.Equal("ok"))


# /createuser.json and its like.


class ClassicRegistration(Shape):
    """What one registers with; other members mean nothing."""

    username = text("3 to 40 letters, digits and underscores.", {"pattern": "^[a-zA-Z0-9_]{3,40}$"})
    password = new_password()


class ClassicError(Shape):
    """What is wrong."""

    error = text("What is wrong.")
    detail = fields.String(metadata={"description": "The rule that was broken."})


class ClassicUser(Shape):
    """A user that has registered."""

    username = text("The name.")
    hash = text("The bcrypt hash of the password.")
    created = moment("When the user was made.")


class ClassicSession(Shape):
    """A session that has begun."""

    id = text("The session's id, 15 letters and digits: it opens the session.")
    username = text("The user's name.")
    created = moment("When the session began.")


class Success(Shape):
    """It is done."""

    success = only(value=True)


# What is open to all of them: a field with rules, or with one sentence.
RULES_BY_FIELD = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
SENTENCE_BY_FIELD = {"type": "object", "additionalProperties": {"type": "string"}}
SENTENCE = {"type": "string"}
