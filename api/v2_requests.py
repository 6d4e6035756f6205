"""What a request to the v2 surface asks for, and whether its caller may."""

from contextlib import suppress

from flask import request
from marshmallow import Schema

from api.auth import HeaderAuth
from api.queries import query
from api.schemas import USER_QUERY
from models import permissions
from models.credentials import Caller
from models.errors import InvalidParametersError
from models.permissions import Action
from models.user import OAuth


def enter(auth: HeaderAuth, action: Action, user_name: str, schema: Schema = USER_QUERY) -> Caller:
    """Return the caller, if it may do ``action`` to the user that the request names. Raises ``AccessDeniedError``."""
    caller = auth.caller()
    with suppress(InvalidParametersError):
        permissions.require(caller, action, user_name, named_oauth(schema))
        return caller
    # Access is decided before the query's faults are told, and a faulty one names nobody: not oneself either.
    permissions.require(caller, action)
    return caller


def named_oauth(schema: Schema = USER_QUERY) -> OAuth:
    """Return which kind of user the request names: the one reading of it, for access and for what is done."""
    if not request.query_string:
        return 0
    oauth: OAuth = query(schema)["oauth"]
    return oauth
