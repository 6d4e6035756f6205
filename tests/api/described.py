"""Whether what the API answers is what its document says."""

import gzip
import json
from copy import deepcopy
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect, Rule
from werkzeug.test import TestResponse

from api.application import Doorman
from api.description.routes import templated
from postman.document import full_document

# What is the server's or the protocol's, and not worth a word. Allow comes with 405, where there is no operation.
UNSAID = {"Content-Type", "Content-Length", "Date", "Allow"}
ENCODED_SLASH = "%2f"


class Description:
    """The document, and what of it has been seen to happen: operations with their statuses."""

    def __init__(self) -> None:
        self.document = full_document()
        self._components = closed(self.document)
        self._validators: dict[int, Draft202012Validator] = {}

    def check(self, app: Doorman, answer: TestResponse, sent: object = None) -> None:
        """Fail if an answer to what was sent, if it was JSON, differs from what the document says of the operation."""
        operation = self.operation_of(app, answer)
        if operation is None:
            return
        named = f"{answer.request.method} {answer.request.path}: {answer.status_code}"
        documented = operation["responses"].get(str(answer.status_code))
        assert documented, f"{named} {answer.text!r} is not documented"
        documented = self._resolved(documented)
        undocumented = set(answer.headers.keys()) - UNSAID - documented["headers"].keys()
        assert not undocumented, f"{named}: undocumented headers {undocumented}"
        if answer.request.method == "HEAD":
            return
        content = documented.get("content", {})
        assert (answer.mimetype in content) if content else not answer.data, f"{named} {answer.mimetype}"
        if content:
            self._validate(named, content[answer.mimetype]["schema"], _json(answer))
        if answer.status_code < 300 and sent is not None and "requestBody" in operation:
            wanted = operation["requestBody"]["content"]["application/json"]["schema"]
            self._validate(f"{named}, its body", wanted, sent)

    def operation_of(self, app: Doorman, answer: TestResponse) -> dict[str, Any] | None:
        """Return what is said of the operation that gave an answer, or ``None`` if there is none."""
        request = answer.request
        raw = request.environ["REQUEST_URI"].partition("?")[0].lower()
        try:
            rule, _ = app.url_map.bind("localhost").match(request.path, request.method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        if raw.count(ENCODED_SLASH) or not isinstance(rule, Rule):
            return None
        method = "get" if request.method == "HEAD" else request.method.lower()
        found: dict[str, Any] | None = self.document["paths"].get(templated(rule), {}).get(method)
        return found

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (
            self.document["components"]["responses"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        )
        return found

    def _validate(self, named: str, schema: dict[str, Any], value: object) -> None:
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = Draft202012Validator(schema | {"components": self._components})
            self._validators[id(schema)] = validator
        errors = [error.message for error in validator.iter_errors(value)]
        assert not errors, f"{named}: {errors}"


def _json(answer: TestResponse) -> Any:
    packed = answer.headers.get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(answer.data) if packed else answer.data)


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the components, in which objects have no members but those that they name, so that none goes unsaid."""
    components: dict[str, Any] = deepcopy(document["components"])
    asked = {
        name
        for path in document["paths"].values()
        for operation in path.values()
        for name in components["schemas"]
        if f"/{name}'" in repr(operation.get("requestBody"))
    }
    for name, schema in components["schemas"].items():
        if name not in asked and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return components


@cache
def description() -> Description:
    """Return the description of this process: the tests' applications serve all of it, or a part."""
    return Description()
