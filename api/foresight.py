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


def foresee(environ: dict[str, Any], core: Core) -> None:
    """Ask for the caller, and for the user that it reads. It never blocks, and what it misses is asked for later."""
    if len(environ.get("HTTP_AUTHORIZATION", "")) > _MOST_CHARACTERS:
        return
    match authorization_of(environ):
        case Bearer(token):
            environ[_KEY] = core.authenticator.foresee_bearer(token)
        case Basic(user_name, _):
            path: str = environ["PATH_INFO"]
            shows = environ["REQUEST_METHOD"] == "GET" and path.startswith(_USER)
            wanted = {user_name, path.removeprefix(_USER)} if shows else {user_name}
            keys = [names.lookup_key(name) for name in wanted if _PLAIN_NAME.fullmatch(name)]
            environ[_KEY] = core.lookups.foresee((key, 0) for key in keys if key is not None)


def foreseen() -> Foreseen:
    """Return what was asked for on behalf of the current request."""
    found: Foreseen = request.environ.get(_KEY, NOTHING)
    return found
