"""The socket ``user-auth`` and the users class, described."""

from werkzeug.exceptions import UnsupportedMediaType

from api import schemas, user_auth, users_class
from api.description import shapes, shapes_syncano
from api.description.operations import Answer, Operation, Surface
from api.refusals import MissingParametersError, WrongCredentialsError
from api.user_auth import UserAuth
from api.users_class import UsersClass
from models import errors

_ID = "0123456789abcdef01234567"
_KEY = "0123456789abcdef0123456789abcdef01234567"
_EXAMPLE = {"username": "john@email.com", "password": "supersecure"}
_KEYED = {"id": _ID, "username": "john@email.com", "token": _KEY}
_UTF_8 = errors.InvalidParametersError({"query": ["It must be UTF-8."]})
# One member at least.
_ANY = {"anyOf": [{"required": ["username"]}, {"required": ["password"]}]}
_ANY_OF_SOCKET = {"allOf": [shapes_syncano.ChangedSocketCredentials, _ANY]}
_ANY_OF_CLASS = {"allOf": [shapes_syncano.ChangedClassUser, _ANY]}
_BODY = (UnsupportedMediaType(), MissingParametersError("The body is not JSON."))
_MISSING_FIELD = errors.InvalidParametersError({"username": ["It is required."]})
_BAD_PASSWORD = errors.InvalidParametersError({"password": ["It must have at least 8 characters."]})


def _keyed(description: str) -> Answer:
    return Answer(description=description, shape=shapes_syncano.KeyedUser, examples={"user": _KEYED})


def _done(what: str) -> Answer:
    told = {"msg": f"User with ID {_ID} has been {what}!"}
    return Answer(description=f"The user has been {what}.", shape=shapes_syncano.Done, examples={"done": told})


SOCKET = Surface(
    name="socket",
    description="The socket user-auth, as @syncano/client calls it, by its short path and by its long one. "
    "A path may end with a slash.",
    refusals=user_auth.REFUSALS,
    error_shape=shapes_syncano.Message,
    own_shapes={
        user_auth.NoEmailError: shapes.SENTENCE_BY_FIELD,
        errors.InvalidParametersError: shapes.SENTENCE_BY_FIELD,
        errors.UserExistsError: shapes.SENTENCE_BY_FIELD,
        errors.NotAuthenticatedError: shapes.SENTENCE,
        errors.UserNotFoundError: shapes.SENTENCE,
    },
    common=(_UTF_8,),
    operations={
        UserAuth.register: Operation(
            answers=(_keyed("The user was made, and has logged in."),),
            body=shapes_syncano.SocketRegistration,
            body_example=_EXAMPLE,
            refusals=(
                *_BODY,
                user_auth.NoEmailError(),
                _BAD_PASSWORD,
                errors.UserExistsError(),
                errors.RegistrationClosedError(),
                errors.TooManyRegistrationsError(60),
                errors.TooManyAttemptsError(1),
            ),
        ),
        UserAuth.login: Operation(
            answers=(_keyed("The user has logged in."),),
            body=schemas.Credentials,
            body_example=_EXAMPLE,
            refusals=(
                *_BODY,
                _MISSING_FIELD,
                WrongCredentialsError(),
                errors.TooManyAttemptsError(1),
            ),
        ),
        UserAuth.update: Operation(
            answers=(_done("updated"),),
            body=_ANY_OF_SOCKET,
            body_example={"password": "an even longer one"},
            credentials=("userKey", "userKeyHeader"),
            refusals=(
                *_BODY,
                MissingParametersError("The body gives neither a username nor a password."),
                user_auth.NoEmailError(),
                _BAD_PASSWORD,
                errors.UserExistsError(),
                errors.RegistrationClosedError(),
                errors.NotAuthenticatedError(),
                errors.TooManyAttemptsError(1),
            ),
        ),
        UserAuth.delete: Operation(
            answers=(_done("deleted"),),
            credentials=("userKey", "userKeyHeader"),
            refusals=(errors.NotAuthenticatedError(), errors.LastAdminError()),
        ),
    },
)

_SHOWN = {
    "id": _ID,
    "username": "john@email.com",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    "updated_at": "2026-01-01T12:00:00.000+00:00",
    "groups": ["noob"],
}
_NO_KEY = (users_class.NoApiKeyError(), errors.TooManyAttemptsError(1))
_NOT_FOUND = errors.UserNotFoundError()
_ADMIN = ("apiKey",)


def _user(description: str) -> Answer:
    return Answer(description=description, shape=shapes_syncano.ClassUser, examples={"user": _SHOWN})


def _user_with_key(description: str, status: int = 200) -> Answer:
    shown = _SHOWN | {"user_key": _KEY}
    return Answer(
        description=description, status=status, shape=shapes_syncano.ClassUserWithKey, examples={"user": shown}
    )


USERS_CLASS = Surface(
    name="users class",
    description="Users as @syncano/core manages them, with an admin's API token, whatever the path calls the instance. "
    "A path may end with a slash.",
    refusals=users_class.REFUSALS,
    error_shape=shapes_syncano.Detail,
    own_shapes={
        errors.InvalidParametersError: shapes.RULES_BY_FIELD,
        errors.UserExistsError: shapes.RULES_BY_FIELD,
    },
    common=(_UTF_8,),
    operations={
        UsersClass.list_users: Operation(
            answers=(
                Answer(
                    description="A page of users, by name, or those that were asked for.",
                    shape=shapes_syncano.ClassUsers,
                    examples={"users": {"next": None, "prev": None, "objects": [_SHOWN]}},
                ),
            ),
            query=schemas.UsersClassQuery,
            credentials=_ADMIN,
            refusals=_NO_KEY,
        ),
        UsersClass.create_user: Operation(
            answers=(_user_with_key("The user was made.", 201),),
            body=shapes_syncano.NewClassUser,
            body_example=_EXAMPLE,
            credentials=_ADMIN,
            refusals=(*_NO_KEY, *_BODY, _BAD_PASSWORD, errors.UserExistsError()),
        ),
        UsersClass.login: Operation(
            answers=(_user_with_key("The user has logged in."),),
            body=schemas.Credentials,
            body_example=_EXAMPLE,
            credentials=_ADMIN,
            refusals=(*_NO_KEY, *_BODY, _MISSING_FIELD, WrongCredentialsError()),
        ),
        UsersClass.read_user: Operation(
            answers=(_user("The user."),), credentials=_ADMIN, refusals=(*_NO_KEY, _NOT_FOUND)
        ),
        UsersClass.update_user: Operation(
            answers=(_user("The user was changed."),),
            body=_ANY_OF_CLASS,
            body_example={"password": "an even longer one"},
            credentials=_ADMIN,
            refusals=(
                *_NO_KEY,
                *_BODY,
                MissingParametersError("The body gives neither a username nor a password."),
                _BAD_PASSWORD,
                errors.UserExistsError(),
                _NOT_FOUND,
            ),
        ),
        UsersClass.delete_user: Operation(
            answers=(Answer(description="The user is gone.", status=204),),
            credentials=_ADMIN,
            refusals=(*_NO_KEY, _NOT_FOUND, errors.LastAdminError()),
        ),
    },
)
