"""What holds for every request and every answer, whatever the surface."""

import re

from flask import Flask, Response, abort, request

MAX_BODY_BYTES = 64 * 1024
_ENCODED_SLASH = re.compile(r"%2f", re.IGNORECASE)


def register_guards(app: Flask) -> None:
    """Bound bodies before anything else is looked at, refuse encoded slashes, and keep answers out of caches."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_bound_body)
    app.before_request(_refuse_encoded_slash)
    app.after_request(_keep_private)


def _bound_body() -> None:
    environ = request.environ
    if "CONTENT_LENGTH" in environ or environ.get("wsgi.input_terminated"):  # else there is none (PEP 3333)
        request.get_data()  # raises 413 past MAX_CONTENT_LENGTH; the bytes are kept for whoever needs them


def _refuse_encoded_slash() -> None:
    # Servers decode the path before it is routed, which would make the name "a%2Fupdate" another route.
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if _ENCODED_SLASH.search(raw.partition("?")[0]):
        abort(404)


def _keep_private(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")  # what is public says so itself
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Referrer-Policy", "no-referrer")  # queries may hold the id of a session
    return response
