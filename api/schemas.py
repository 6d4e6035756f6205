"""The shapes of what comes in and goes out. Types are checked here; what the values must be is the core's to say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from api.refusals import MissingParametersError
from models.account_rules import Changes
from models.errors import InvalidParametersError
from models.foreign_hashes import without_key
from models.listing import MAX_PAGE
from models.secret import Secret
from models.sessions import Session
from models.user import USER_GROUPS, User

_NULL = "It may not be null."
_REQUIRED = "It is required."
_GROUP = validate.OneOf(USER_GROUPS, error="It must be one of: {choices}.")


class Text(fields.String):
    """A JSON string, and nothing that could be turned into one."""

    default_error_messages = {"invalid": "It must be a string.", "null": _NULL}  # noqa: RUF012 - marshmallow's own API


class SecretText(Text):
    """A JSON string that must not show itself."""

    def _deserialize(self, value: Any, *rest: Any, **named: Any) -> Any:
        return Secret(super()._deserialize(value, *rest, **named))


class Flag(fields.Field[bool]):
    """JSON's true or false; marshmallow's own Boolean takes 1 and "yes" as well."""

    default_error_messages = {"invalid": "It must be true or false.", "null": _NULL}  # noqa: RUF012 - marshmallow's own API

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Digits(fields.Field[int]):
    """A number in a query, in one spelling: Python, and so marshmallow, reads "01", "+1", " 1" and others as 1 too."""

    def __init__(self, least: int, most: int, *, load_default: int | None) -> None:
        super().__init__(load_default=load_default)
        self._texts = {str(number): number for number in range(least, most + 1)}
        self._rule = f"It must be {least} {'or' if most == least + 1 else 'to'} {most}."

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if value not in self._texts:
            raise ValidationError(self._rule)
        return self._texts[value]


class _Strict(Schema):
    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "It is not a field that can be given here."}  # noqa: RUF012 - marshmallow's own API


class UserFields(_Strict):
    """What can be set on a user."""

    password = SecretText()
    token = SecretText()
    name = Text(allow_none=True)
    email = Text(allow_none=True)
    user_group = Text(validate=_GROUP)
    disabled = Flag()


class UserQuery(_Strict):
    """The query of the routes for one user."""

    oauth = Digits(0, 1, load_default=0)


class ListQuery(UserQuery):
    """The query of the list."""

    limit = Digits(1, MAX_PAGE, load_default=None)
    after = Text(load_default=None)
    prefix = Text(load_default="")
    user_group = Text(load_default=None, validate=_GROUP)


class SessionsQuery(UserQuery):
    """The query of the route that ends a user's sessions."""

    but = Text(load_default=None, data_key="except")


class UsersClassQuery(_Strict):
    """The query of the list of the users class."""

    query = Text(load_default=None)
    page_size = Digits(1, 500, load_default=100)
    after = Text(load_default=None)


class Credentials(Schema):
    """What one registers and logs in with. Clients send other things beside it, which mean nothing here."""

    class Meta:
        unknown = EXCLUDE

    username = Text(required=True, error_messages={"required": _REQUIRED})
    password = SecretText(required=True, error_messages={"required": _REQUIRED})


# Making a schema takes longer than using it.
USER_FIELDS, USER_QUERY, LIST_QUERY, SESSIONS_QUERY = UserFields(), UserQuery(), ListQuery(), SessionsQuery()
USERS_CLASS_QUERY, CREDENTIALS, CHANGED_CREDENTIALS = UsersClassQuery(), Credentials(), Credentials(partial=True)


def load_user_fields(members: Mapping[str, Any]) -> Changes:
    """Check the members of a body. Raises ``InvalidParametersError``."""
    changes: Changes = _load(USER_FIELDS, members)
    return changes


def load_credentials(members: Mapping[str, Any]) -> tuple[str, Secret]:
    """Return the user name and the password that a body gives. Raises ``InvalidParametersError``."""
    given = _load(CREDENTIALS, members)
    return given["username"], given["password"]


def load_changed_credentials(members: Mapping[str, Any]) -> Changes:
    """Return a new user name, a new password or both. Raises ``InvalidParametersError``, ``MissingParametersError``."""
    given = _load(CHANGED_CREDENTIALS, members)
    if not given:
        raise MissingParametersError("The body gives neither a username nor a password.")
    changes: Changes = {}
    if "username" in given:
        changes["user_name"] = given["username"]
    if "password" in given:
        changes["password"] = given["password"]
    return changes


def broken_fields(error: InvalidParametersError) -> Mapping[str, list[str]]:
    """Return the rules that were broken, by the names that fields have where a user's name is a ``username``."""
    return {"username" if name == "user_name" else name: rules for name, rules in error.fields.items()}


def load_query(schema: Schema, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Check the parameters of a query. Raises ``InvalidParametersError``, also for one that is given twice."""
    if twice := {name: ["It may be given once."] for name, values in query.items() if len(values) > 1}:
        raise InvalidParametersError(twice)
    loaded: dict[str, Any] = _load(schema, {name: values[0] for name, values in query.items()})
    return loaded


def dump_user(user: User, *, hashes: bool, with_id: bool = False) -> dict[str, Any]:
    """Return the v2 shape of a user: ``password`` and ``token`` are hashes, or ``None`` where not to be seen."""
    shape: dict[str, Any] = {"_id": {"$oid": user.id}} if with_id else {}
    return shape | {
        "user_name": user.user_name,
        "password": without_key(user.password_hash) if hashes else None,
        "token": user.token_hash if hashes else None,
    }


def dump_session(session: Session) -> dict[str, Any]:
    """Return the v2 shape of a session; its ``id`` names it, and opens nothing."""
    return {
        "id": session.id,
        "kind": session.kind,
        "created_at": iso_time(session.created_at),
        "last_used_at": iso_time(session.used_at),
        "expires_at": iso_time(session.expires_at),
        "address": session.address,
        "user_agent": session.user_agent,
    }


def iso_time(moment: datetime) -> str:
    """Return a UTC time as ISO 8601 has it, to the millisecond and with its offset."""
    return moment.isoformat(timespec="milliseconds")


def _load(schema: Schema, members: Mapping[str, Any]) -> Any:
    try:
        return schema.load(members)
    except ValidationError as error:
        raise InvalidParametersError(error.messages_dict) from error
