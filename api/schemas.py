"""The shapes of what comes in and goes out. Types are checked here; what the values must be is the core's to say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from api.refusals import MissingParametersError
from api.value_shapes import ASKED_USERS, DISPLAY_NAME, EMAIL, JSON, NEW_PASSWORD, NEW_TOKEN
from models.account_rules import Changes
from models.errors import InvalidParametersError
from models.foreign_hashes import without_key
from models.listing import MAX_PAGE
from models.secret import Secret
from models.sessions import Session
from models.user import USER_GROUPS, User, UserGroup

_NULL = "It may not be null."
_REQUIRED = "It is required."
_GROUP = validate.OneOf(USER_GROUPS, error="It must be one of: {choices}.")


def means(description: str, **said: Any) -> dict[str, Any]:
    """Return the metadata of a field that the description of the API shows."""
    return {"description": description, **said}


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

    def __init__(self, least: int, most: int, *, load_default: int | None, meaning: str = "") -> None:
        super().__init__(load_default=load_default, metadata={"description": meaning} if meaning else None)
        self.least, self.most = least, most
        self._texts = {str(number): number for number in range(least, most + 1)}
        self._rule = f"It must be {least} {'or' if most == least + 1 else 'to'} {most}."

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if value not in self._texts:
            raise ValidationError(self._rule)
        return self._texts[value]


class Groups(fields.Field[tuple[UserGroup, ...]]):
    """Names of groups in a query, separated by commas."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own API
        "unknown": f"It must be one of {', '.join(USER_GROUPS)}, or several of them separated by commas.",
        "twice": "It may name each group once.",
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[UserGroup, ...]:
        names = str(value).split(",")
        groups = tuple(group for group in USER_GROUPS if group in names)
        if not set(names) <= set(groups):
            raise self.make_error("unknown")
        if len(names) > len(groups):
            raise self.make_error("twice")
        return groups


class Strict(Schema):
    """What refuses fields that it does not know."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "It is not a field that can be given here."}  # noqa: RUF012 - marshmallow's own API


class UserFields(Strict):
    """What can be set on a user."""

    password = SecretText(metadata=means("8 code points to 72 bytes of UTF-8, not a common one.", **NEW_PASSWORD))
    token = SecretText(
        metadata=means("15 to 72 characters of RFC 6750. Without one, the user has one that nobody sees.", **NEW_TOKEN)
    )
    name = Text(allow_none=True, metadata=means("What the user is called: 1 to 70 code points.", **DISPLAY_NAME))
    email = Text(allow_none=True, metadata=means("An address that no other user has; null removes it.", **EMAIL))
    user_group = Text(validate=_GROUP, metadata=means("noob, unless it is given. Admins alone may give it."))
    disabled = Flag(metadata=means("Whether the user's credentials are refused."))


class UserQuery(Strict):
    """The query of the routes for one user."""

    oauth = Digits(0, 1, load_default=0, meaning="1 names the OAuth users instead of the ordinary ones.")


class ListQuery(UserQuery):
    """The query of the list."""

    limit = Digits(1, MAX_PAGE, load_default=None, meaning="The most names of a page; without it, all are streamed.")
    after = Text(load_default=None, metadata=means("List what comes after this name."))
    prefix = Text(load_default="", metadata=means("List names that begin like this."))
    user_group = Text(load_default=None, validate=_GROUP, metadata=means("List the users of this group."))


class SessionsQuery(UserQuery):
    """The query of the route that ends a user's sessions."""

    but = Text(load_default=None, data_key="except", metadata=means("The id of a session that stays."))


class VerifyQuery(Strict):
    """The query of forward authentication."""

    group = Groups(load_default=None, metadata=means("Demand one of these groups."))


class UsersClassQuery(Strict):
    """The query of the list of the users class."""

    query = Text(
        load_default=None,
        metadata=means(
            'JSON: by "id" or "username", {"_eq": a value} or {"_in": a list of at most 500 values}.',
            **{JSON: ASKED_USERS},
        ),
    )
    page_size = Digits(1, 500, load_default=100, meaning="The most users of a page.")
    after = Text(load_default=None, metadata=means("What a page's `next` says."))


class Credentials(Schema):
    """What one registers and logs in with. Clients send other things beside it, which mean nothing here."""

    class Meta:
        unknown = EXCLUDE

    username = Text(required=True, error_messages={"required": _REQUIRED})
    password = SecretText(required=True, error_messages={"required": _REQUIRED})


# Making a schema takes longer than using it.
USER_FIELDS, USER_QUERY, LIST_QUERY, SESSIONS_QUERY = UserFields(), UserQuery(), ListQuery(), SessionsQuery()
USERS_CLASS_QUERY, VERIFY_QUERY = UsersClassQuery(), VerifyQuery()
CREDENTIALS, CHANGED_CREDENTIALS = Credentials(), Credentials(partial=True)


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
