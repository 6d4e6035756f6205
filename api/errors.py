"""One table: from what went wrong to the answer that says so (RFC 9457 where the contracts define no body)."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from api.auth import challenges
from api.logs import Rarely
from api.problems import PROBLEM_JSON, problem_details
from models import errors

logger = logging.getLogger(__name__)
_refusals = Rarely(logger)


class MissingParametersError(errors.DoormanError):
    """The body holds no parameters: it is empty, no JSON, or no object; ``detail`` says which, if it is not plain."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail


class ForeignOriginError(errors.DoormanError):
    """A page of an origin that is not allowed asked a browser to send this request."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer of problem details (RFC 9457)."""
    answer = _plain(status, problem_details(status, detail))
    answer.content_type = PROBLEM_JSON
    answer.headers.update(headers or {})
    return answer


def _plain(status: int, body: Mapping[str, object]) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer


def _missing(error: MissingParametersError) -> Response:
    return _plain(400, {"missing_parameters": True} | ({"detail": error.detail} if error.detail else {}))


def _not_authenticated(_: errors.NotAuthenticatedError) -> Response:
    answer = problem(401, "Valid credentials are needed: Basic (RFC 7617) or a Bearer token (RFC 6750).")
    for challenge in challenges():
        answer.headers.add("WWW-Authenticate", challenge)
    return answer


def _too_many_attempts(error: errors.TooManyAttemptsError) -> Response:
    return problem(
        429, "Logins from here have failed; wait before the next one.", {"Retry-After": str(error.retry_after)}
    )


def _unavailable(error: errors.UnavailableError) -> Response:
    _refusals.warning(f"Answered 503: {error}")
    return problem(503, "The service cannot answer now; try again.", {"Retry-After": str(error.retry_after)})


def _corrupt(error: errors.CorruptRecordError) -> Response:
    logger.error("What is stored for the user with the id %s is not what Doorman writes.", error.record_id)
    return problem(500, "What is stored for this user cannot be read; the log names it.")


ANSWERS: Mapping[type[errors.DoormanError], Callable[[Any], Response]] = {
    MissingParametersError: _missing,
    ForeignOriginError: lambda _: problem(
        403, "The Origin of this request is foreign; ALLOWED_ORIGINS names the origins whose pages may send it."
    ),
    errors.InvalidParametersError: lambda error: _plain(400, {"invalid_parameters": error.fields}),
    errors.NotAuthenticatedError: _not_authenticated,
    errors.TooManyAttemptsError: _too_many_attempts,
    errors.AccessDeniedError: lambda _: _plain(403, {"access_allowed": False}),
    errors.UserExistsError: lambda _: _plain(403, {"user_exists": True}),
    errors.UserNotFoundError: lambda _: _plain(403, {"user_exists": False}),
    errors.PreconditionFailedError: lambda _: problem(412, "The user is not in the state that If-Match names."),
    errors.LastAdminError: lambda _: problem(
        409, "This is the last enabled admin: it can be neither deleted, demoted nor disabled."
    ),
    errors.UnavailableError: _unavailable,
    errors.CorruptRecordError: _corrupt,
}

_DETAILS = {
    404: "Nothing is here.",
    405: "This method does not work here; Allow names those that do.",
    413: "The body may have at most 64 KiB.",
    415: "The body must be JSON: Content-Type application/json, in UTF-8, or none.",
}


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    answer = problem(status, _DETAILS.get(status, HTTPStatus(status).description or HTTPStatus(status).phrase))
    if allow := getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(allow))
    return answer


def _crash(error: Exception) -> Response:
    # The path has no query here, and neither headers nor body: those carry credentials.
    logger.error("%s %r failed", request.method, request.path, exc_info=error)
    return problem(500, "Something went wrong here; it was logged.")


def register_errors(app: Flask) -> None:
    """Let every error that leaves a view become its answer."""
    for kind, answer in ANSWERS.items():
        app.register_error_handler(kind, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crash)
