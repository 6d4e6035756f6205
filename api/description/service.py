"""What proxies and operators ask of the service, described."""

from api import schemas
from api.description import shapes, shapes_service
from api.description.operations import Answer, Operation, Surface
from api.errors import ERRORS
from api.forward_auth import ForwardAuth
from api.problems import PROBLEM_JSON
from api.status import Status
from models import errors

_BAD_GROUP = errors.InvalidParametersError({"group": ["It must be one of noob, manager, admin."]})

SERVICE = Surface(
    name="service",
    description="Forward authentication, for proxies; and what is running, for admins.",
    refusals=ERRORS,
    error_shape=shapes.Problem,
    error_type=PROBLEM_JSON,
    own_shapes={errors.InvalidParametersError: shapes.Invalid, errors.AccessDeniedError: shapes.NoAccess},
    operations={
        ForwardAuth.verify: Operation(
            answers=(
                Answer(
                    description="Let the request through.",
                    headers=("X-Auth-User", "X-Auth-Id", "X-Auth-Group"),
                ),
            ),
            query=schemas.VerifyQuery,
            credentials=("basic", "bearer", "token", "sessionCookie"),
            refusals=(
                errors.NotAuthenticatedError(),
                errors.AccessDeniedError(),
                errors.TooManyAttemptsError(1),
                _BAD_GROUP,
            ),
        ),
        Status.show: Operation(
            answers=(
                Answer(
                    description="What is running.",
                    shape=shapes_service.Status,
                    examples={
                        "status": {
                            "version": "0.1.0",
                            "workers": 2,
                            "surfaces": ["v2"],
                            "started_at": "2026-01-01T12:00:00.000+00:00",
                            "uptime_seconds": 3600,
                            "store": {"kind": "sqlite", "schema_version": 1, "answers": True, "answered_in_ms": 0.1},
                        }
                    },
                ),
            ),
            credentials=("basic", "bearer"),
            refusals=(errors.NotAuthenticatedError(), errors.AccessDeniedError(), errors.TooManyAttemptsError(1)),
        ),
    },
)
