"""The frames of the WebSocket: one JSON object each, read strictly and written compactly."""

import json
import math
from typing import Any

from api.json_body import parse_object
from api.refusals import REFUSALS, MissingParametersError, log_told
from models import errors

Members = dict[str, Any]

_FIELDS = {"user_name": "username"}  # whose names here are not the core's
_REQUIRED = "It is required."
_NO_STRING = "It must be a string."


class InvalidDataError(errors.DoormanError):
    """The frame is not one JSON object, or a part of it is not of the type that it has to be."""


def parsed(frame: str | bytes) -> Members:
    """Return the members of a frame. Raises ``InvalidDataError``."""
    if isinstance(frame, bytes) or not frame.strip():
        raise InvalidDataError
    try:
        request = parse_object(frame.encode())
    except (MissingParametersError, UnicodeEncodeError) as error:
        raise InvalidDataError from error
    request_id = request.get("id", "")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float):
        raise InvalidDataError
    if isinstance(request_id, float) and not math.isfinite(request_id):  # 1e999 is JSON, and infinite to Python
        raise InvalidDataError
    return request


def encoded(answer: Members) -> str:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def texts(data: Members, *names: str) -> list[str]:
    """Return the texts of these names. Raises ``InvalidParametersError`` that names all that are missing."""
    broken = {
        name: [_NO_STRING if name in data else _REQUIRED] for name in names if not isinstance(data.get(name), str)
    }
    if broken:
        raise errors.InvalidParametersError(broken)
    return [data[name] for name in names]


def told(action: str, error: errors.DoormanError) -> Members:
    """Return the answer to an action that the core refused."""
    match error:
        case errors.UserExistsError():
            return {"action": action, "error": "user_exists"}
        case errors.EmailInUseError():
            return {"action": action, "error": "email_exists"}
        case errors.InvalidParametersError():
            fields = {_FIELDS.get(name, name): rules for name, rules in error.fields.items()}
            return {"action": action, "error": "invalid_data", "data": fields}
    log_told(error)
    refusal = REFUSALS[type(error)](error)
    answer: Members = {"action": action, "error": refusal.detail}
    if "Retry-After" in refusal.headers:
        answer["retry_after"] = int(refusal.headers["Retry-After"])
    return answer
