"""The query of a request, read strictly."""

from typing import Any
from urllib.parse import unquote_to_bytes

from flask import request
from marshmallow import Schema

from api.schemas import load_query
from models.errors import InvalidParametersError


def query(schema: Schema) -> dict[str, Any]:
    """Return the checked query. Raises ``InvalidParametersError``; werkzeug would keep what is no UTF-8 as it is."""
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise InvalidParametersError({"query": ["It must be UTF-8."]}) from error
    return load_query(schema, request.args.to_dict(flat=False))
