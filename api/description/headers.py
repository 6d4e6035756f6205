"""Headers of requests and answers, and what callers present: the parts of the document that routes refer to by name."""

from typing import Any

from api.value_shapes import USER_NAME


def _text(description: str, example: str | None = None) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"} | ({"examples": [example]} if example else {})}


def _part(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", "minLength": 1} | more}


# Of answers.
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": _text("What logs call this request.", "0af7651916cd43dd8448eb211c80319c"),
    "Cache-Control": _text("`no-store`, unless the answer may be kept.", "no-store"),
    "X-Content-Type-Options": _text("`nosniff`.", "nosniff"),
    "Referrer-Policy": _text("`no-referrer`.", "no-referrer"),
    "Vary": _text("`Origin`, where `ALLOWED_ORIGINS` names any.", "Origin"),
    "Access-Control-Allow-Origin": _text("The request's `Origin`, if `ALLOWED_ORIGINS` names it."),
    "Access-Control-Allow-Credentials": _text("`true`, if `ALLOWED_ORIGINS` names the request's `Origin`."),
    "Access-Control-Expose-Headers": _text("The headers that a page of that origin may read."),
    "ETag": _text(
        "Which version of the user this is, for `If-Match`; or of the document, for `If-None-Match`.", '"…-7"'
    ),
    "Link": _text('The next page of a list, with `rel="next"` (RFC 8288), if there is one.'),
    "Location": _text("Where to go on."),
    "Set-Cookie": _text("The cookie of the session, or of the login that has begun; or the end of it."),
    "X-Auth-User": _text("The user's name, percent-encoded; an OAuth user's begins with `oauth:`.", "joe"),
    "X-Auth-Id": _text("The user's id, which is never another's.", "0123456789abcdef01234567"),
    "X-Auth-Group": _text("The user's group.", "noob"),
    "Content-Encoding": _text("`gzip`, for those who take it."),
    "WWW-Authenticate": _text("What to present, a line each (RFC 9110).", 'Basic realm="Doorman", charset="UTF-8"'),
    "Retry-After": {
        "description": "In how many seconds to come again.",
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
}
# Which every answer may have.
COMMON = tuple(HEADERS)[:8]

# Of requests.
REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "Do it only if the user is still in the state that this `ETag` names; else 412 (RFC 9110).",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Answer 304 if the document is still the one that this `ETag` names.",
        "schema": {"type": "string"},
    },
}

PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "user_name": _part("The user's name. It has no slash, and none that is encoded either.", **USER_NAME),
    "session_id": _part("The session's id, from the list of sessions."),
    "instance": _part("Any name: there is one instance."),
    "user_id": _part("The user's id."),
}

SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token`, a space, and a JSON Web Token.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An admin's API token."},
    "userKey": {
        "type": "apiKey",
        "in": "query",
        "name": "user_key",
        "description": "The token that `register` and `login` of the socket give.",
    },
    "userKeyHeader": {"type": "apiKey", "in": "header", "name": "X-USER-KEY", "description": "The same, in a header."},
    "session": {
        "type": "apiKey",
        "in": "query",
        "name": "s",
        "description": "The id that `/login.json` gives. It wins over the cookie.",
    },
    "sessionCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The cookie that `/login.json` sets.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, as the refresh route gives it; under `/users`, a JSON Web Token too (RFC 6750).",
    },
    # The last one is where the page puts the cursor.
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A user name, and its password or its API token; in UTF-8 (RFC 7617).",
    },
}
