"""The AsyncAPI document of the WebSocket: of its actions, their docstrings and their shapes."""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from api.description.openapi import schema_name, taught
from api.description.websocket import ACTIONS as DESCRIBED
from api.description.websocket import Action, ErrorAnswer
from api.websocket_actions import ACTIONS

_ABOUT = """\
Text frames of JSON, a request and its answer each. A request's `id`, a string or a finite number, is echoed in its
answer; answers come in the order of the requests.

Who asks is decided anew at every action: by the `token` in its data; else by the login made on the connection; else by
the `Authorization` header of the handshake (`Basic`, `Bearer` or `Token`), which may do without. A foreign `Origin` is
403, and where there are too many connections the handshake is 503.
"""
_CHANNEL = {"$ref": "#/channels/users"}
_ID = {"type": ["string", "number"], "description": "Echoed in the answer."}


class UndescribedActionError(Exception):
    """An action is in no table, so that nobody could read of it."""


def asyncapi_document(actions: Mapping[str, Callable[..., Any]] = ACTIONS) -> dict[str, Any]:
    """Describe all actions. Raises ``UndescribedActionError``."""
    shapes = _Shapes()
    messages = {"error": _message("Errors", shapes.members(ErrorAnswer) | {"id": _ID}, ["error"])}
    operations: dict[str, Any] = {}
    for name, function in actions.items():
        if function not in DESCRIBED:
            raise UndescribedActionError(f"{name} is described nowhere: add it to api/description/websocket.py.")
        action = DESCRIBED[function]
        asked, answered = name, f"{name}Answer"
        summary = " ".join((inspect.getdoc(function) or "").replace("``", "").split())
        messages[asked] = _request(name, action, shapes, summary)
        messages[answered] = _answer(action.answers_as or name, action, shapes)
        operations[name] = {
            "action": "receive",
            "channel": _CHANNEL,
            "summary": summary,
            "messages": [_of_channel(asked)],
            "reply": {"channel": _CHANNEL, "messages": [_of_channel(answered), _of_channel("error")]},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Doorman",
            "version": version("doorman"),
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            name: {
                "host": "{address}",
                "protocol": name,
                "variables": {"address": {"description": "Host and port of Doorman.", "default": "127.0.0.1:5000"}},
            }
            for name in ("ws", "wss")
        },
        "channels": {
            "users": {
                "address": "/users/",
                "description": "The users API. Pings and pongs are the protocol's own.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": shapes.all()},
    }


class _Shapes:
    """Schemas, turned into JSON Schema."""

    def __init__(self) -> None:
        plugin = MarshmallowPlugin(schema_name_resolver=schema_name)
        self._spec = APISpec("Doorman", version("doorman"), "3.1.0", plugins=[plugin])
        self._converter = taught(plugin)

    def ref(self, schema: type[Schema]) -> dict[str, Any]:
        found: dict[str, Any] = self._converter.resolve_nested_schema(schema)  # type: ignore[no-untyped-call]  # apispec's are
        return found

    def members(self, schema: type[Schema]) -> dict[str, Any]:
        converted: dict[str, Any] = self._converter.schema2jsonschema(schema)  # type: ignore[no-untyped-call]  # as above
        members: dict[str, Any] = converted["properties"]
        return members

    def all(self) -> dict[str, Any]:
        schemas: dict[str, Any] = self._spec.to_dict()["components"]["schemas"]
        return schemas


def _request(name: str, action: Action, shapes: _Shapes, summary: str) -> dict[str, Any]:
    members: dict[str, Any] = {"action": {"const": name}, "id": _ID}
    required = ["action"]
    example: dict[str, Any] = {"action": name, "id": 1}
    if action.data is not None:
        members["data"] = shapes.ref(action.data)
        example["data"] = action.example
        required += ["data"] if any(field.required for field in action.data().fields.values()) else []
    return _message(summary, members, required) | {"examples": [{"payload": example}]}


def _answer(name: str, action: Action, shapes: _Shapes) -> dict[str, Any]:
    members: dict[str, Any] = {"action": {"const": name}, "id": _ID}
    if action.answer is None:
        return _message(f"The answer {name}.", members, ["action"])
    return _message(f"The answer to {name}.", members | {"data": shapes.ref(action.answer)}, ["action", "data"])


def _message(summary: str, members: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"summary": summary, "payload": {"type": "object", "properties": dict(members), "required": required}}


def _of_channel(message: str) -> dict[str, str]:
    return {"$ref": f"#/channels/users/messages/{message}"}
