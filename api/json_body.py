"""Reading a body as one JSON object, stricter than the standard library does (RFC 8259, RFC 7493)."""

import json
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import UnsupportedMediaType

from api.refusals import MissingParametersError

_SHOWN = 40


def read_object() -> dict[str, Any]:
    """Return the members of the current request's body, of which there is one at least. Raises as ``read_members``."""
    members = read_members()
    if not members:
        raise MissingParametersError
    return members


def read_members() -> dict[str, Any]:
    """Return the members of the current request's body; an absent or empty one has none.

    Raises ``UnsupportedMediaType`` for a content type other than JSON, and ``MissingParametersError`` for everything
    that is not exactly one JSON object in UTF-8.
    """
    if request.content_type and (
        request.mimetype != "application/json"
        or request.mimetype_params.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}
    ):
        raise UnsupportedMediaType
    return parse_object(request.get_data())


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse one JSON object; no text counts as an empty one. Raises ``MissingParametersError`` with the reason."""
    if not body.strip():
        return {}
    try:
        document = json.loads(body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
        json.dumps(document, ensure_ascii=False).encode()  # raises on lone surrogates, wherever they are
    except UnicodeDecodeError as error:
        raise MissingParametersError("The body is not UTF-8.") from error
    except UnicodeEncodeError as error:
        raise MissingParametersError("The body has a lone surrogate, which is no character.") from error
    except RecursionError as error:
        raise MissingParametersError("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise MissingParametersError("The body is not JSON.") from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise MissingParametersError("The body has a number of too many digits.") from error
    if not isinstance(document, dict):
        raise MissingParametersError("The body is not a JSON object.")
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise MissingParametersError(f"The body names {json.dumps(name[:_SHOWN])} twice.")
        members[name] = value
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise MissingParametersError(f"The body is not JSON: {name} is no value of it.")
