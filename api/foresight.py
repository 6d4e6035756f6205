"""Which users a request will need, told from its head: their reads are shared, and spare it the wait for a thread."""

import re
from typing import Any

from flask import request

from api.authorization import Basic, Bearer, authorization_of
from api.proxies import TrustedProxies
from models.credentials import Authenticator
from models.lookups import NOTHING, Foreseen

_KEY = "doorman.foreseen"
# This runs on the event loop: what takes longer to understand is left to the threads.
_MOST_CHARACTERS, _MOST_OF_NAME = 256, 64
_PLAIN_USER = re.compile(r"/api/v2/users/([A-Za-z0-9._@+-]{1,64})")
_VERIFY, _PLAIN_GROUPS = "/api/v2/verify", re.compile(r"(?:group=[a-z,]{1,64})?")


def foresee(environ: dict[str, Any], authenticator: Authenticator, proxies: TrustedProxies) -> bool:
    """Ask for the users of a ``GET`` of one, or of a known caller alone, and return whether nothing else is needed."""
    if environ["REQUEST_METHOD"] != "GET" or len(environ.get("HTTP_AUTHORIZATION", "")) > _MOST_CHARACTERS:
        return False
    shown: str | None = None
    if environ["PATH_INFO"] == _VERIFY:
        if not _PLAIN_GROUPS.fullmatch(environ["QUERY_STRING"]):
            return False
    elif not environ["QUERY_STRING"] and (path := _PLAIN_USER.fullmatch(environ["PATH_INFO"])):
        shown = path[1]
    else:
        return False
    found: Foreseen | None = None
    match authorization_of(environ):
        case Basic(user_name, secret) if user_name.isascii() and len(user_name) <= _MOST_OF_NAME:
            found = authenticator.foresee_basic(user_name, secret, proxies.client(environ), shown or user_name)
        case Bearer(token):
            found = authenticator.foresee_bearer(token, proxies.client(environ), shown)
    if found is None:
        return False
    environ[_KEY] = found
    return True


def foreseen() -> Foreseen:
    """Return what was asked for on behalf of the current request."""
    found: Foreseen = request.environ.get(_KEY, NOTHING)
    return found
