"""A Postman collection (format 2.1) of an OpenAPI document: a request and its checks for each step of the scenario."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from postman.scenario import SCENARIO, Step

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
ABOUT = """\
Made from Doorman's OpenAPI document by `make generated`; do not edit it. Run it from top to bottom, with the \
environment beside it: `user` and `password` are an admin's. It makes users of its own, whose names are new each time, \
and deletes them again. Registration has to be open, and all surfaces served, as they are by default.\
"""
# What each run has for itself, made by its first request.
BEGIN = """\
if (!pm.collectionVariables.get('name') || pm.info.requestName === '%s') {
  const run = Date.now().toString(36);
  pm.collectionVariables.set('name', `postman-${run}`);
  pm.collectionVariables.set('plainName', `postman_${run}`);
  pm.collectionVariables.set('newPassword', pm.variables.replaceIn('{{$randomUUID}}'));
}"""
VARIABLES = ("name", "plainName", "newPassword", "token", "jwt", "session", "sessionId", "userKey", "userId")
AUTHS: Mapping[str, dict[str, Any]] = {
    "basic": {"type": "basic", "basic": [("username", "{{user}}"), ("password", "{{password}}")]},
    "bearer": {"type": "bearer", "bearer": [("token", "{{token}}")]},
    "token": {"type": "apikey", "apikey": [("in", "header"), ("key", "Authorization"), ("value", "Token {{jwt}}")]},
    "apiKey": {"type": "apikey", "apikey": [("in", "header"), ("key", "X-Api-Key"), ("value", "{{token}}")]},
    "userKey": {"type": "apikey", "apikey": [("in", "query"), ("key", "user_key"), ("value", "{{userKey}}")]},
    "userKeyHeader": {"type": "apikey", "apikey": [("in", "header"), ("key", "X-USER-KEY"), ("value", "{{userKey}}")]},
    "session": {"type": "apikey", "apikey": [("in", "query"), ("key", "s"), ("value", "{{session}}")]},
}
# Of a schema, what is for people.
_PROSE = {"description", "examples", "format"}


class UnusedOperationError(Exception):
    """The scenario leaves operations of the document out."""


def collection(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the collection. Raises ``UnusedOperationError``."""
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    if missing := operations.keys() - {one.operation for steps in SCENARIO.values() for one in steps}:
        raise UnusedOperationError(f"Add {', '.join(sorted(missing))} to the steps in postman/scenario.py.")
    items = {
        name: [_item(one, *operations[one.operation], document) for one in steps] for name, steps in SCENARIO.items()
    }
    first = next(iter(items.values()))[0]["name"]
    return {
        "info": {
            "_postman_id": str(uuid5(NAMESPACE_URL, "doorman")),
            "name": "Doorman",
            "description": ABOUT,
            "schema": SCHEMA,
        },
        "event": [_event("prerequest", BEGIN % first)],
        "variable": [{"key": name, "value": ""} for name in VARIABLES],
        "item": [{"name": name, "item": some} for name, some in items.items()],
    }


def environment() -> dict[str, Any]:
    """Return the environment: where Doorman is, and an admin's credentials, which are for their owner to fill in."""
    values = (("baseUrl", "http://127.0.0.1:5000", "default"), ("user", "admin", "default"), ("password", "", "secret"))
    return {
        "id": str(uuid5(NAMESPACE_URL, "doorman environment")),
        "name": "Doorman",
        "values": [{"key": key, "value": value, "type": kind, "enabled": True} for key, value, kind in values],
        "_postman_variable_scope": "environment",
    }


def _item(
    step: Step, method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    url = "{{baseUrl}}" + path.format_map(step.path)
    request: dict[str, Any] = {
        "method": method,
        "url": url + (f"?{urlencode(step.query, safe='{}')}" if step.query else ""),
        "description": operation.get("description", operation["summary"]),
        "auth": _auth(step, operation),
    }
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        body = content["examples"]["body"]["value"] if step.body is None else step.body
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        request["body"] = {"mode": "raw", "raw": json.dumps(body, indent=2), "options": {"raw": {"language": "json"}}}
    return {
        "name": f"{operation['summary'].partition(':')[0].partition(';')[0].rstrip('.')}{step.note}",
        "request": request,
        "event": [_event("test", _checks(step, operation, document))],
        "protocolProfileBehavior": {"followRedirects": False},
    }


def _auth(step: Step, operation: Mapping[str, Any]) -> dict[str, Any]:
    schemes = [name for alternative in operation["security"] for name in alternative]
    if not schemes:
        return {"type": "noauth"}
    auth = AUTHS[step.scheme or schemes[0]]
    kind = auth["type"]
    return {"type": kind, kind: [{"key": key, "value": value, "type": "string"} for key, value in auth[kind]]}


def _checks(step: Step, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return the script that checks status, type and shape of the answer, and keeps what later steps need of it."""
    expected: dict[str, Any] = {}
    for status in step.statuses:
        content = _inlined(operation["responses"][str(status)], document).get("content", {})
        expected[str(status)] = {kind: media["schema"] for kind, media in content.items()}
    lines = [
        f"const expected = {json.dumps(expected, ensure_ascii=False)};",
        "pm.test('The status is right', () => pm.expect(Object.keys(expected)).to.include(String(pm.response.code)));",
        "const shapes = expected[pm.response.code] ?? {};",
        "const kind = (pm.response.headers.get('Content-Type') ?? '').split(';')[0];",
        "pm.test('The body is as documented', () => {",
        "  if (Object.keys(shapes).length === 0) pm.expect(pm.response.text()).to.equal('');",
        "  else pm.response.to.have.jsonSchema(shapes[kind]);",
        "});",
    ]
    if step.saves:
        lines.append("const body = pm.response.json();")
        lines += [f"pm.collectionVariables.set('{name}', {found});" for name, found in step.saves.items()]
    return "\n".join(lines)


def _inlined(node: Any, document: Mapping[str, Any]) -> Any:
    """Return a part of the document with its references resolved, and without what is for people."""
    if isinstance(node, list):
        return [_inlined(one, document) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return _inlined(found, document)
    # A property may have such a name; then it is an object.
    return {name: _inlined(one, document) for name, one in node.items() if name not in _PROSE or "type" in one}


def _event(kind: str, script: str) -> dict[str, Any]:
    return {"listen": kind, "script": {"type": "text/javascript", "exec": script.split("\n")}}
