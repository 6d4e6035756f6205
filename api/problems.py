"""Problem details: the one shape of every error that the contracts give no body of its own (RFC 9457)."""

import json
from http import HTTPStatus

PROBLEM_JSON = "application/problem+json"
# Python 3.11 still has the names that RFC 9110 has replaced.
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}
# For what is refused before it was read: the rest of it must not be taken for the next request.
CLOSE = (b"connection", b"close")


class RefusedError(Exception):
    """The request is answered with ``status`` and ``headers`` before it reaches the application."""

    def __init__(self, status: int, detail: str, *headers: tuple[bytes, bytes], reason: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.reason = reason or status_reason(status)


def status_reason(status: int) -> str:
    """Return what metrics call a refusal of which no more is known than its status."""
    return f"status_{status}"


def problem_details(status: int, detail: str) -> dict[str, str | int]:
    """Return the members of a problem document whose type says no more than its status does."""
    title = _RENAMED.get(status, HTTPStatus(status).phrase)
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def problem_answer(refusal: RefusedError) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body that tell a refusal."""
    body = json.dumps(problem_details(refusal.status, refusal.detail)).encode()
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers,
    ]
    return headers, body
