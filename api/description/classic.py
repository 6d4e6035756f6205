"""``/createuser.json``, ``/login.json`` and ``/logout.json``, described."""

from api import schemas
from api.classic import REFUSALS, BadPasswordError, BadUserNameError, Classic, NoSessionError
from api.description import shapes
from api.description.operations import Answer, Operation, Surface
from api.refusals import MissingParametersError
from models import errors

_EXAMPLE = {"username": "joe", "password": "supersecure"}
_CREATED = {"username": "joe", "created": "2026-01-01T12:00:00.000+00:00"}
_BODY = (
    MissingParametersError("The body is not JSON."),
    errors.InvalidParametersError({"username": ["It is required."]}),
)

CLASSIC = Surface(
    name="classic",
    description="Accounts and sessions for web pages. A body is read as JSON whatever its Content-Type says.",
    refusals=REFUSALS,
    error_shape=shapes.ClassicError,
    common=(errors.InvalidParametersError({"query": ["It must be UTF-8."]}),),
    operations={
        Classic.create_user: Operation(
            answers=(
                Answer(
                    description="The user was made.",
                    shape=shapes.ClassicUser,
                    examples={"user": _CREATED | {"hash": "$2b$12$…"}},
                ),
            ),
            body=shapes.ClassicRegistration,
            body_example=_EXAMPLE,
            refusals=(
                *_BODY,
                BadUserNameError("It must have 3 to 40 letters, digits and underscores."),
                BadPasswordError("It must have at least 8 characters."),
                errors.UserExistsError(),
                errors.RegistrationClosedError(),
                errors.TooManyRegistrationsError(60),
                errors.TooManyAttemptsError(1),
            ),
        ),
        Classic.login: Operation(
            answers=(
                Answer(
                    description="A session has begun; the cookie `session` holds its id too.",
                    shape=shapes.ClassicSession,
                    examples={"session": _CREATED | {"id": "sipibxelb9gwf0y"}},
                    headers=("Set-Cookie",),
                ),
            ),
            body=schemas.Credentials,
            body_example=_EXAMPLE,
            refusals=(
                *_BODY,
                errors.NotAuthenticatedError(),
                errors.UnknownUserError(),
                errors.TooManyAttemptsError(1),
            ),
        ),
        Classic.logout: Operation(
            answers=(
                Answer(
                    description="The session is ended; the cookie, if it held it, is taken away.",
                    shape=shapes.Success,
                    examples={"success": {"success": True}},
                    headers=("Set-Cookie",),
                ),
            ),
            credentials=("session", "sessionCookie"),
            refusals=(NoSessionError(),),
        ),
    },
)
