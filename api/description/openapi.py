"""The OpenAPI document of what an application serves: its routes, its views' docstrings, its schemas, its errors."""

import inspect
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema

from api.description.classic import CLASSIC
from api.description.documents import DOCUMENTS
from api.description.headers import HEADERS, PATH_PARAMETERS, REQUEST_HEADERS, SECURITY_SCHEMES
from api.description.health import HEALTH
from api.description.jwt import JWT
from api.description.operations import Operation, Surface, View, by_view
from api.description.responses import Responses
from api.description.routes import Route, routes
from api.description.service import SERVICE
from api.description.syncano import SOCKET, USERS_CLASS
from api.description.v2 import V2
from api.schemas import Digits, Flag, Groups
from api.value_shapes import JSON
from models.user import USER_GROUPS

# A route of another surface is described in a table beside these.
SURFACES = (V2, SOCKET, USERS_CLASS, CLASSIC, JWT, SERVICE, DOCUMENTS, HEALTH)
_ABOUT = """\
A self-hosted users service: one store of accounts, and several documented ways in.

A path that is none of these, or has an encoded slash, is 404; a method that does not work is 405 with `Allow`. 429 and
503 say in `Retry-After` when to come again. Pages of origins that `ALLOWED_ORIGINS` names may call all of it (CORS);
what other pages send is 403, if it might change something.
"""
_ABOUT_WEBSOCKET = "\nThe users API over one WebSocket, at `/users/`, is described in `/api/v2/asyncapi.json`.\n"


class UndescribedRouteError(Exception):
    """A route is in no table, so that nobody could read of it."""


def openapi_document(app: Flask) -> dict[str, Any]:
    """Describe all routes of the application. Raises ``UndescribedRouteError``."""
    plugin = MarshmallowPlugin(schema_name_resolver=schema_name)
    spec = APISpec(
        title="Doorman",
        version=version("doorman"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info={
            "description": _ABOUT + _ABOUT_WEBSOCKET * _has_websocket(app),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        servers=[{"url": "../..", "description": "Where this document comes from."}],
    )
    converter = taught(plugin)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    responses, tables, ids = Responses(spec), by_view(SURFACES), set[str]()
    used, schemes = dict[str, Surface](), set[str | None]()
    with app.test_request_context():
        described = [(*_described(tables, route), route) for route in routes(app)]
        for surface, operation, route in sorted(described, key=lambda one: SURFACES.index(one[0])):
            used[surface.name] = surface
            schemes.update(operation.credentials)
            spec.path(
                route.path,
                operations={
                    route.method.lower(): {
                        "tags": [surface.name],
                        "operationId": _operation_id(surface, route, ids),
                        **_said(route.view),
                        "parameters": _parameters(converter, route, operation),
                        **_body(operation),
                        "responses": responses.of(surface, operation, route.method),
                        "security": [{scheme: []} if scheme else {} for scheme in operation.credentials],
                    }
                },
            )
    for name, scheme in SECURITY_SCHEMES.items():
        if name in schemes:
            spec.components.security_scheme(name, scheme)
    for surface in used.values():
        spec.tag({"name": surface.name, "description": surface.description})
    document: dict[str, Any] = spec.to_dict()
    return document


def schema_name(schema: type[Schema] | Schema) -> str:
    """Return what a schema is called in a document."""
    kind = schema if isinstance(schema, type) else type(schema)
    return f"Changed{kind.__name__}" if isinstance(schema, Schema) and schema.partial else kind.__name__


def taught(plugin: MarshmallowPlugin) -> OpenAPIConverter:
    """Return what converts schemas, once the plugin is part of a document; it knows our own kinds of fields then."""
    assert plugin.converter is not None  # noqa: S101 - which APISpec has seen to

    def own_fields(_: Any, field: Any, **__: Any) -> dict[str, Any]:
        if isinstance(field, Digits):
            return {"type": "integer", "minimum": field.least, "maximum": field.most}
        if isinstance(field, Groups):
            names = {"type": "string", "enum": list(USER_GROUPS)}
            return {"type": "array", "items": names, "minItems": 1, "uniqueItems": True}
        return {"type": "boolean"} if isinstance(field, Flag) else {}

    plugin.converter.add_attribute_function(own_fields)  # type: ignore[no-untyped-call]  # apispec's are
    return plugin.converter


def _has_websocket(app: Flask) -> bool:
    return any(rule.rule == "/api/v2/asyncapi.json" for rule in app.url_map.iter_rules())


def _described(tables: Mapping[View, tuple[Surface, Operation]], route: Route) -> tuple[Surface, Operation]:
    try:
        return tables[route.view]
    except KeyError:
        raise UndescribedRouteError(
            f"{route.method} {route.path} is described nowhere: add {route.view.__module__}.{route.view.__qualname__} "
            "to the operations of its surface in api/description/; or its path to PAGES in api/description/routes.py, "
            "if it is a page for people."
        ) from None


def _operation_id(surface: Surface, route: Route, taken: set[str]) -> str:
    base = re.sub(r"\W+", "_", "_".join([surface.name, route.view.__name__, *route.given]))
    found = next(name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base}_{n}") not in taken)
    taken.add(found)
    return found


def _said(view: View) -> dict[str, str]:
    summary, _, rest = (inspect.getdoc(view) or "").partition("\n\n")
    said = {"summary": summary.replace("``", "")} | ({"description": rest.replace("``", "`")} if rest else {})
    return {name: " ".join(text.split()) for name, text in said.items()}


def _parameters(converter: OpenAPIConverter, route: Route, operation: Operation) -> list[dict[str, Any]]:
    if unknown := [name for name in route.parameters if name not in PATH_PARAMETERS]:
        raise UndescribedRouteError(f"{route.path}: add {unknown} to PATH_PARAMETERS in api/description/headers.py.")
    found = [
        {
            "name": name,
            "in": "path",
            "required": True,
        }
        | PATH_PARAMETERS[name]
        for name in route.parameters
    ]
    if operation.query is not None:
        schema = converter.schema2jsonschema(operation.query)  # type: ignore[no-untyped-call]  # apispec's are
        for name, said in schema["properties"].items():
            what = {"name": name, "in": "query", "required": name in schema.get("required", ())}
            found.append(what | {"description": said.pop("description")} | _form(said))
    return found + [REQUEST_HEADERS[name] for name in operation.parameters]


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    """Return how a parameter of this schema is written; JSON, if that is what its text is."""
    if JSON in schema:
        return {"content": {"application/json": {"schema": schema[JSON]}}}
    listed = {"style": "form", "explode": False} if schema["type"] == "array" else {}
    return {"schema": _of_query(schema)} | listed


def _of_query(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without its null, which says that it is absent, and which no query can hold."""
    kept = {name: value for name, value in schema.items() if name != "default" or value}
    if isinstance(kept.get("type"), list):
        kept["type"] = next(kind for kind in kept["type"] if kind != "null")
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    return kept


def _body(operation: Operation) -> dict[str, Any]:
    if operation.body is None:
        return {}
    examples = {"body": {"value": operation.body_example}}
    content = {"application/json": {"schema": operation.body, "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}
