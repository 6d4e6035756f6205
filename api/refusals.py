"""One table: from what went wrong to a status, a sentence and headers, which each surface puts into its own shape."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from api.exchanges import current
from api.logs import Rarely
from models import errors

logger = logging.getLogger(__name__)
_unavailable = Rarely(logger)


class MissingParametersError(errors.DoormanError):
    """The body holds no parameters: it is empty, no JSON, or no object; ``detail`` says which, if it is not plain."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail


class WrongCredentialsError(errors.DoormanError):
    """User name and password are no user's, which surfaces with a login route tell in words of their own."""


class ForeignOriginError(errors.DoormanError):
    """A page of an origin that is not allowed asked a browser to send this request."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told, whatever the shape."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


Told = TypeVar("Told")
Shape = Callable[[Refusal], Response]
Answers = Mapping[type[errors.DoormanError], Callable[[Any], Response]]


def _wait(status: int, detail: str, seconds: int) -> Refusal:
    return Refusal(status, detail, {"Retry-After": str(seconds)})


def _told_rules(error: errors.InvalidParametersError) -> Refusal:
    return Refusal(400, " ".join(f"{name}: {' '.join(rules)}" for name, rules in error.fields.items()))


REFUSALS: Mapping[type[errors.DoormanError], Callable[[Any], Refusal]] = {
    MissingParametersError: lambda error: Refusal(400, error.detail or "The body holds no parameters."),
    ForeignOriginError: lambda _: Refusal(
        403, "The Origin of this request is foreign; ALLOWED_ORIGINS names the origins whose pages may send it."
    ),
    errors.InvalidParametersError: _told_rules,
    errors.NotAuthenticatedError: lambda _: Refusal(401, "Valid credentials are needed."),
    errors.UnknownUserError: lambda _: Refusal(401, "Valid credentials are needed."),
    errors.TooManyAttemptsError: lambda error: _wait(
        429, "Logins from here have failed; wait before the next one.", error.retry_after
    ),
    errors.RegistrationClosedError: lambda _: Refusal(
        403, "Registration is closed here: admins make the accounts, and give the names."
    ),
    errors.TooManyRegistrationsError: lambda error: _wait(
        429, "Too many have registered from here; wait before the next one.", error.retry_after
    ),
    errors.TooManyChangesError: lambda error: _wait(
        429, "This user has changed itself too often; wait before the next change.", error.retry_after
    ),
    errors.AccessDeniedError: lambda _: Refusal(403, "This user may not do this."),
    errors.UserExistsError: lambda _: Refusal(409, "A user of this name exists."),
    errors.UserNotFoundError: lambda _: Refusal(404, "There is no such user."),
    errors.SessionNotFoundError: lambda _: Refusal(404, "The user has no session of this id."),
    errors.PreconditionFailedError: lambda _: Refusal(412, "The user is not in the state that If-Match names."),
    errors.LastAdminError: lambda _: Refusal(
        409, "This is the last enabled admin: it can be neither deleted, demoted nor disabled."
    ),
    errors.UnavailableError: lambda error: _wait(503, "The service cannot answer now; try again.", error.retry_after),
    errors.CorruptRecordError: lambda _: Refusal(500, "What is stored for this user cannot be read; the log names it."),
}

_DETAILS = {
    404: "Nothing is here.",
    405: "This method does not work here; Allow names those that do.",
    413: "The body may have at most 64 KiB.",
    415: "The body must be JSON: Content-Type application/json, in UTF-8, or none.",
}


def _told_http_error(error: HTTPException) -> Refusal:
    status = error.code or 500
    allow = getattr(error, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(allow))} if allow else {}
    return Refusal(status, _DETAILS.get(status, HTTPStatus(status).description or HTTPStatus(status).phrase), headers)


def log_told(error: Exception) -> None:
    """Log what the operator has to know of an error in the table; what the others are, clients know best."""
    match error:
        case errors.UnavailableError():
            _unavailable.warning(f"Answered 503: {error}")
        case errors.CorruptRecordError():
            logger.error("What is stored for the user with the id %s is not what Doorman writes.", error.record_id)


def _log_crash(error: Exception) -> None:
    # The path has no query here, and neither headers nor body: those carry credentials.
    logger.error("%s %r failed", request.method, request.path, exc_info=error)


def reason_of(error: Exception) -> str:
    """Return what metrics call an error of the core, or of the table above: its own name, ``unknown_user``.

    Where a surface has put an error of its own in the place of the core's, that is the one.
    """
    if isinstance(error.__cause__, errors.DoormanError):
        error = error.__cause__
    if isinstance(error, errors.NotAuthenticatedError):
        error = errors.NotAuthenticatedError()  # whoever sees the figures is not to learn which names there are
    return _snake_case(type(error).__name__.removesuffix("Error"))


@cache
def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


def note_reason(error: Exception) -> None:
    """Note why the request that this code runs for is refused."""
    if isinstance(error, errors.DoormanError):
        current().reason = reason_of(error)
    elif not isinstance(error, HTTPException):
        current().reason = "crash"


def noted(run: Callable[[], Response]) -> Response:
    """Run what tells its refusals itself, and note their reasons."""
    try:
        return run()
    except errors.DoormanError as error:
        note_reason(error)
        raise


class Refusals:
    """How a surface tells errors: ``own`` ones as its contract has them, all others in its shape."""

    def __init__(self, shape: Shape, own: Answers) -> None:
        self._shape = shape
        self._own = own

    def answer(self, error: Exception) -> Response:
        """Make the answer to an error, whatever it is."""
        own = _nearest(error, self._own)
        if own is not None:
            return own(error)
        refusal = refusal_of(error)
        response = self._shape(refusal)
        response.status_code = refusal.status
        response.headers.update(refusal.headers)
        return response

    def register(self, surface: Flask | Blueprint) -> None:
        """Let every error that leaves a view of the surface be logged, if need be, and become its answer."""

        def handle(error: Exception) -> Response:
            note_reason(error)
            is_known = isinstance(error, (HTTPException, *REFUSALS, *self._own))
            (log_told if is_known else _log_crash)(error)
            return self.answer(error)

        surface.register_error_handler(HTTPException, handle)
        surface.register_error_handler(Exception, handle)


def refusal_of(error: Exception) -> Refusal:
    """Return what a client is told of an error for which its surface has no answer of its own."""
    if isinstance(error, HTTPException):
        return _told_http_error(error)
    tell = _nearest(error, REFUSALS)
    return Refusal(500, "Something went wrong here; it was logged.") if tell is None else tell(error)


def _nearest(error: Exception, table: Mapping[type[errors.DoormanError], Told]) -> Told | None:
    """Return what the table has for the error's class, or else for the nearest of those that it is a kind of."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)
