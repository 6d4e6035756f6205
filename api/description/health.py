"""The routes for load balancers and container health checks, described."""

from api.description import shapes
from api.description.operations import Answer, Operation, Surface
from api.errors import ERRORS
from api.health import Health
from api.problems import PROBLEM_JSON

_WELL = Answer(description="It is well.", shape=shapes.Health, examples={"ok": {"status": "ok"}})

HEALTH = Surface(
    name="health",
    description="For load balancers and container health checks; no credentials.",
    refusals=ERRORS,
    error_shape=shapes.Problem,
    error_type=PROBLEM_JSON,
    operations={
        Health.live: Operation(answers=(_WELL,), uses_store=False),
        Health.ready: Operation(answers=(_WELL,)),
    },
)
