"""The v2 surface, described."""

from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import UnsupportedMediaType

from api import schemas
from api.audit_queries import AuditQuery
from api.audit_v2 import AuditV2
from api.description import shapes, shapes_audit
from api.description.operations import Answer, Operation, Surface
from api.errors import ERRORS
from api.problems import PROBLEM_JSON
from api.refusals import MissingParametersError
from api.sessions_v2 import SessionsV2
from api.users_v2 import UsersV2
from models import errors

_CREDENTIALS = ("basic", "bearer")
_DENIED = errors.AccessDeniedError()
_NOT_FOUND = errors.UserNotFoundError()
_BODY = (
    UnsupportedMediaType(),
    MissingParametersError(),
    MissingParametersError("The body is not JSON."),
    errors.InvalidParametersError({"password": ["It must have at least 8 characters."]}),
)
_FIELDS = {"allOf": [schemas.UserFields], "minProperties": 1}
_HASHES = {"password": "$2b$12$…", "token": "$2b$12$…"}
_SHOWN = {"user_name": "test123"} | _HASHES
_SESSION = {
    "id": "0d5f5c2e9a7b4c61",
    "kind": "token",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    "last_used_at": "2026-01-01T12:00:00.000+00:00",
    "expires_at": "2026-01-08T12:00:00.000+00:00",
    "address": "192.0.2.1",
    "user_agent": "curl/8",
}

_EVENT = {
    "id": "019b7a1f2c300000000284c0ffee1200",
    "at": "2026-01-01T12:00:00.000+00:00",
    "kind": "authz_change",
    "actor": {"id": "0123456789abcdef01234567", "name": "admin", "oauth": 0},
    "subject": {"id": "1123456789abcdef01234567", "name": "test123", "oauth": 0},
    "address": "192.0.2.1",
    "request_id": "5f0c2e9a7b4c61d0e1f2a3b4",
    "surface": "v2",
    "details": {"from": "noob", "to": "manager"},
}
_TALLY = {
    "id": "019b7a1e8ff0b5f1c0ffee1200d15ea5",
    "at": "2026-01-01T11:59:00.000+00:00",
    "kind": "authn_login_fail",
    "actor": None,
    "subject": None,
    "address": "192.0.2.99",
    "request_id": "",
    "surface": "",
    "details": {"count": 12, "names": ["84c1d5a0b2e6f790"], "surfaces": ["v2"]},
}


def _operation(*answers: Answer, refusals: tuple[Exception, ...] = (), **more: Any) -> Operation:
    return Operation(
        **{"query": schemas.UserQuery} | more,
        answers=answers,
        credentials=_CREDENTIALS,
        refusals=(errors.NotAuthenticatedError(), _DENIED, errors.TooManyAttemptsError(1), *refusals),
    )


def _user(description: str, example: Mapping[str, Any] = _SHOWN, shape: type[Any] = shapes.ShownUser) -> Answer:
    return Answer(description=description, shape=shape, examples={"user": example}, headers=("ETag",))


V2 = Surface(
    name="v2",
    description="Users, their API tokens and their sessions. Every route demands a password or a token.",
    refusals=ERRORS,
    error_shape=shapes.Problem,
    error_type=PROBLEM_JSON,
    own_shapes={
        MissingParametersError: shapes.Missing,
        errors.InvalidParametersError: shapes.Invalid,
        errors.AccessDeniedError: shapes.NoAccess,
        errors.UserExistsError: shapes.UserExists,
        errors.UserNotFoundError: shapes.NoSuchUser,
    },
    common=(errors.InvalidParametersError({"oauth": ["It must be 0 or 1."]}),),
    operations={
        UsersV2.list_users: _operation(
            Answer(
                description="The names, in order.",
                shape=shapes.UserNames,
                examples={"names": {"users": ["admin", "test123"]}},
                headers=("Link",),
            ),
            query=schemas.ListQuery,
        ),
        UsersV2.read_user: _operation(_user("The user."), refusals=(_NOT_FOUND,)),
        UsersV2.create_user: _operation(
            _user("The user was made."),
            body=_FIELDS,
            body_example={"password": "a fine long password"},
            refusals=(*_BODY, errors.UserExistsError()),
        ),
        UsersV2.update_user: _operation(
            _user(
                "The user was changed.",
                {"_id": {"$oid": "0123456789abcdef01234567"}} | _SHOWN,
                shapes.UpdatedUser,
            ),
            body=_FIELDS,
            body_example={"password": "an even longer one"},
            parameters=("If-Match",),
            refusals=(*_BODY, _NOT_FOUND, errors.PreconditionFailedError(), errors.LastAdminError()),
        ),
        UsersV2.refresh_token: _operation(
            Answer(
                description="The token, this once.",
                shape=shapes.RawToken,
                examples={"token": {"token": "mF_9.B5f-4.1JqM…"}},
            ),
            refusals=(_NOT_FOUND,),
        ),
        UsersV2.delete_user: _operation(
            Answer(description="The user is gone.", shape=shapes.Nothing, examples={"nothing": {}}),
            parameters=("If-Match",),
            refusals=(_NOT_FOUND, errors.PreconditionFailedError(), errors.LastAdminError()),
        ),
        AuditV2.list_events: _operation(
            Answer(
                description="The events, the newest first.",
                shape=shapes_audit.EventList,
                examples={"events": {"events": [_EVENT, _TALLY]}},
                headers=("Link",),
            ),
            query=AuditQuery,
        ),
        SessionsV2.list_sessions: _operation(
            Answer(
                description="The sessions.",
                shape=shapes.SessionList,
                examples={"sessions": {"sessions": [_SESSION]}},
            ),
            refusals=(_NOT_FOUND,),
        ),
        SessionsV2.revoke_sessions: _operation(
            Answer(description="They are ended.", shape=shapes.Revoked, examples={"revoked": {"revoked": 2}}),
            query=schemas.SessionsQuery,
            refusals=(_NOT_FOUND, errors.SessionNotFoundError()),
        ),
        SessionsV2.read_session: _operation(
            Answer(description="The session.", shape=shapes.ShownSession, examples={"session": _SESSION}),
            refusals=(_NOT_FOUND, errors.SessionNotFoundError()),
        ),
        SessionsV2.revoke_session: _operation(
            Answer(description="It is ended.", shape=shapes.Nothing, examples={"nothing": {}}),
            refusals=(_NOT_FOUND, errors.SessionNotFoundError()),
        ),
    },
)
