"""How the v2 surface, and all that is no surface's own, tells errors: RFC 9457 where its contract has no body."""

from flask import Response

from api.answers import json_answer
from api.auth import challenges
from api.problems import PROBLEM_JSON, problem_details
from api.refusals import MissingParametersError, Refusal, Refusals
from models import errors


def problem(refusal: Refusal) -> Response:
    """Make an answer of problem details (RFC 9457)."""
    answer = json_answer(refusal.status, problem_details(refusal.status, refusal.detail))
    answer.content_type = PROBLEM_JSON
    return answer


def _missing(error: MissingParametersError) -> Response:
    return json_answer(400, {"missing_parameters": True} | ({"detail": error.detail} if error.detail else {}))


def _not_authenticated(_: errors.NotAuthenticatedError) -> Response:
    answer = problem(Refusal(401, "Valid credentials are needed: Basic (RFC 7617) or a Bearer token (RFC 6750)."))
    for challenge in challenges():
        answer.headers.add("WWW-Authenticate", challenge)
    return answer


ERRORS = Refusals(
    problem,
    {
        MissingParametersError: _missing,
        errors.InvalidParametersError: lambda error: json_answer(400, {"invalid_parameters": error.fields}),
        errors.NotAuthenticatedError: _not_authenticated,
        errors.AccessDeniedError: lambda _: json_answer(403, {"access_allowed": False}),
        errors.UserExistsError: lambda _: json_answer(403, {"user_exists": True}),
        errors.UserNotFoundError: lambda _: json_answer(403, {"user_exists": False}),
    },
)
