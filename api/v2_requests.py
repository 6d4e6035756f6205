"""What a request to the v2 surface asks for, and whether its caller may."""

from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import request
from marshmallow import Schema

from api.auth import HeaderAuth
from api.schemas import USER_QUERY, load_query
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


def query(schema: Schema) -> dict[str, Any]:
    """Return the checked query. Raises ``InvalidParametersError``; werkzeug would keep what is no UTF-8 as it is."""
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise InvalidParametersError({"query": ["It must be UTF-8."]}) from error
    return load_query(schema, request.args.to_dict(flat=False))
