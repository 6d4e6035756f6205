"""The cookie that holds the id of a browser's session."""

from flask import request

COOKIE = "session"


def session_ids() -> list[str]:
    """Return what cookies of the name the request has: another site of the same domain may have added some."""
    return request.cookies.getlist(COOKIE)
