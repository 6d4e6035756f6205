"""Which users a request will ask for, told from its head while it waits for a thread; their reads are shared."""

import re
from typing import Any

from flask import request

from api.authorization import Basic, Bearer, authorization_of
from models import names
from models.core import Core
from models.lookups import NOTHING, Foreseen

_KEY = "doorman.foreseen"
# This runs on the event loop: what takes longer to understand is left to the thread.
_MOST_CHARACTERS = 256
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_USER = "/api/v2/users/"


def foresee(environ: dict[str, Any], core: Core) -> bool:
    """Ask for the caller, and for the user that it reads. What this misses is asked for later.

    Return whether the request may need nothing else that has to be waited for.
    """
    if len(environ.get("HTTP_AUTHORIZATION", "")) > _MOST_CHARACTERS:
        return False
    path: str = environ["PATH_INFO"]
    shown = path.removeprefix(_USER) if environ["REQUEST_METHOD"] == "GET" and path.startswith(_USER) else None
    match authorization_of(environ):
        case Basic(user_name, secret):
            wanted = {user_name} if shown is None else {user_name, shown}
            keys = [names.lookup_key(name) for name in wanted if _PLAIN_NAME.fullmatch(name)]
            environ[_KEY] = core.lookups.foresee(names=[(key, 0) for key in keys if key is not None])
            return (
                shown is not None and len(keys) == len(wanted) and core.authenticator.remembers_basic(user_name, secret)
            )
        case Bearer(token):
            environ[_KEY] = core.authenticator.foresee_bearer(token)
            return shown is not None and core.authenticator.remembers_bearer(token)
    return False


def foreseen() -> Foreseen:
    """Return what was asked for on behalf of the current request."""
    found: Foreseen = request.environ.get(_KEY, NOTHING)
    return found
