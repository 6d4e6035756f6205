"""JSON Web Tokens, groups and OAuth under ``/users``, described."""

from werkzeug.exceptions import UnsupportedMediaType

from api.description import shapes, shapes_jwt
from api.description.operations import Answer, Operation, Surface
from api.jwt_users import (
    REFUSALS,
    BadNameError,
    BadValueError,
    BlankFieldsError,
    JwtUsers,
)
from api.oauth_proofs import NoIssuerError
from api.refusals import MissingParametersError, WrongCredentialsError
from models import errors

_USER = {"username": "mike", "name": "Mike Wazowski", "oauth": 0, "user_group": "noob"}
_JWT = "eyJhbGciOiJFUzI1NiIs…"
_ADMIN = ("token", "bearer", "basic")
_BODY = (UnsupportedMediaType(), MissingParametersError("The body is not JSON."))
_BLANK = BlankFieldsError(["Username", "Password"])
_BAD_NAME = BadNameError("Invalid characters used in name")
_DENIED = (errors.NotAuthenticatedError(), errors.AccessDeniedError(), errors.TooManyAttemptsError(1))
_BAD_PASSWORD = errors.InvalidParametersError({"password": ["It must have at least 8 characters."]})


def _logged_in(user: dict[str, object]) -> Answer:
    return Answer(
        description="The user has logged in.",
        shape=shapes_jwt.LoggedIn,
        examples={"user": {"user": user | {"token": _JWT}}},
    )


_OAUTH_USER = _USER | {"username": "hy103", "oauth": 1}

JWT = Surface(
    name="jwt",
    description="JSON Web Tokens, groups, and OAuth users. Bodies are wrapped; an error is a JSON string.",
    refusals=REFUSALS,
    error_shape=shapes.SENTENCE,
    common=(errors.InvalidParametersError({"query": ["It must be UTF-8."]}),),
    operations={
        JwtUsers.create_user: Operation(
            answers=(
                Answer(
                    description="The user was made.", shape=shapes_jwt.TokenUser, examples={"user": {"user": _USER}}
                ),
            ),
            body=shapes_jwt.NewUserBody,
            body_example={"user": {"username": "mike", "name": "Mike Wazowski", "password": "mike mike mike"}},
            credentials=_ADMIN,
            refusals=(
                *_DENIED,
                *_BODY,
                _BLANK,
                _BAD_NAME,
                BadNameError("Username or name is too long"),
                _BAD_PASSWORD,
                errors.UserExistsError(),
            ),
        ),
        JwtUsers.login: Operation(
            answers=(_logged_in(_USER),),
            body=shapes_jwt.LoginBody,
            body_example={"user": {"username": "mike", "password": "mike mike mike"}},
            refusals=(*_BODY, _BLANK, WrongCredentialsError(), errors.TooManyAttemptsError(1)),
        ),
        JwtUsers.login_by_oauth: Operation(
            answers=(_logged_in(_OAUTH_USER),),
            body={"anyOf": [shapes_jwt.OAuthLoginBody, shapes_jwt.OAuthLoginInfo]},
            body_example={"user": {"netid": "hy103", "name": "Hye Young"}},
            credentials=(None, "bearer", "basic"),
            refusals=(
                *_DENIED,
                *_BODY,
                BadValueError("Netid cannot be blank."),
                NoIssuerError(),
                _BAD_NAME,
                errors.UserExistsError(),
            ),
        ),
        JwtUsers.begin_oauth: Operation(
            answers=(Answer(description="To the issuer.", status=303, headers=("Location", "Set-Cookie")),),
            refusals=(NoIssuerError(),),
        ),
        JwtUsers.finish_oauth: Operation(
            answers=(
                Answer(
                    description="The user has logged in.",
                    shape=shapes_jwt.LoggedIn,
                    examples={"user": {"user": _OAUTH_USER | {"token": _JWT}}},
                    headers=("Set-Cookie",),
                ),
            ),
            query=shapes_jwt.CallbackQuery,
            refusals=(
                NoIssuerError(),
                errors.NotAuthenticatedError(),
                errors.TooManyAttemptsError(1),
                errors.UserExistsError(),
            ),
        ),
        JwtUsers.change_group: Operation(
            answers=(
                Answer(
                    description="The user is in the group.",
                    shape={"type": "string", "const": "success"},
                    examples={"success": "success"},
                ),
            ),
            body={"anyOf": [shapes_jwt.GroupChangeBody, shapes_jwt.MisspeltGroupChangeBody]},
            body_example={"user": {"username": "mike", "oauth": 0, "permission": "manager"}},
            credentials=_ADMIN,
            refusals=(
                *_DENIED,
                *_BODY,
                BadValueError("Invalid New Permission."),
                BadValueError("Use 0 and 1 for oauth value."),
                errors.UserNotFoundError(),
                BlankFieldsError(["Username"]),
                errors.LastAdminError(),
            ),
        ),
        JwtUsers.list_keys: Operation(
            answers=(
                Answer(
                    description="The public keys.",
                    shape=shapes_jwt.PublicKeys,
                    examples={
                        "keys": {
                            "keys": [
                                {
                                    "crv": "P-256",
                                    "x": "…",
                                    "y": "…",
                                    "kid": "…",
                                    "use": "sig",
                                    "alg": "ES256",
                                    "kty": "EC",
                                }
                            ]
                        }
                    },
                ),
            ),
        ),
    },
)
