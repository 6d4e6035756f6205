"""Problem details: the one shape of every error that the contracts give no body of its own (RFC 9457)."""

from http import HTTPStatus

PROBLEM_JSON = "application/problem+json"
# Python 3.11 still has the names that RFC 9110 has replaced.
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}


def problem_details(status: int, detail: str) -> dict[str, str | int]:
    """Return the members of a problem document whose type says no more than its status does."""
    title = _RENAMED.get(status, HTTPStatus(status).phrase)
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
