"""The documents themselves, described."""

from api.description.operations import Answer, Operation, Surface
from api.description.shapes import Problem
from api.documents import Documents
from api.errors import ERRORS
from api.problems import PROBLEM_JSON

_KEPT = Answer(status=304, description="It is still the one that `If-None-Match` names.", headers=("ETag",))


def _document(what: str) -> Operation:
    answer = Answer(description=what, shape={"type": "object"}, headers=("ETag", "Content-Encoding"))
    return Operation(answers=(answer, _KEPT), parameters=("If-None-Match",), uses_store=False)


DOCUMENTS = Surface(
    name="documents",
    description="What describes the API, for tools. They hold nothing that is not public, and want no credentials.",
    refusals=ERRORS,
    error_shape=Problem,
    error_type=PROBLEM_JSON,
    operations={
        Documents.openapi: _document("This document (OpenAPI 3.1)."),
        Documents.asyncapi: _document("The document of the WebSocket (AsyncAPI 3.0)."),
    },
)
