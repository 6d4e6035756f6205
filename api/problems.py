"""Problem details: the one shape of every error that the contracts give no body of its own (RFC 9457)."""

from http import HTTPStatus

PROBLEM_JSON = "application/problem+json"
# Python 3.11 still has the names that RFC 9110 has replaced.
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}
# For what is refused before it was read: the rest of it must not be taken for the next request.
CLOSE = (b"connection", b"close")


class RefusedError(Exception):
    """The request is answered with ``status`` and ``headers`` before it reaches the application."""

    def __init__(self, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_details(status: int, detail: str) -> dict[str, str | int]:
    """Return the members of a problem document whose type says no more than its status does."""
    title = _RENAMED.get(status, HTTPStatus(status).phrase)
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
