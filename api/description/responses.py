"""What an operation answers: its own answers, and for each error what its surface makes of it."""

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from apispec import APISpec
from werkzeug.exceptions import RequestEntityTooLarge

from api.description.headers import COMMON
from api.description.operations import Answer, Operation, Shape, Surface
from api.description.shapes import Problem
from api.problems import PROBLEM_JSON, problem_details
from api.refusals import REFUSALS, ForeignOriginError, MissingParametersError, refusal_of
from models import errors

_SAFE = ("GET", "HEAD")
_CRASH = RuntimeError()
_BUSY = errors.UnavailableError("")
_TOO_LARGE = RequestEntityTooLarge()
# Where the sentence of the table is about one value.
_SAID = {
    errors.InvalidParametersError: "Values break rules.",
    MissingParametersError: "The body has no parameters, or is not one JSON object.",
}
_OUTSIDE = "Refused before it was read: 400, 408, 431 or 501. The connection is closed."
_TOO_LONG = "Path and query have more than 65,534 bytes. The answer has no body, and the connection is closed."
# Every answer's own, and not worth a word.
_UNSAID = {"Content-Type", "Content-Length"}


class Responses:
    """Describes responses, each of which is a component of the document, however many operations refer to it."""

    def __init__(self, spec: APISpec) -> None:
        self._spec = spec
        self._named: dict[str, str] = {}

    def of(self, surface: Surface, operation: Operation, method: str) -> dict[str, Any]:
        """Return the responses of an operation by their statuses. Wants a request context, as handlers of errors do."""
        answers: dict[str, Any] = {str(answer.status): _succeeding(answer) for answer in operation.answers}
        refused: dict[int, list[Exception]] = {}
        for error in _errors(surface, operation, method):
            refused.setdefault(surface.refusals.answer(error).status_code, []).append(error)
        for status, some in sorted(refused.items()):
            response = _refusing(surface, status, some)
            answers[str(status)] = self._component(surface, status, response, some)
        too_long = self._register("uri-too-long", {"description": _TOO_LONG})
        return answers | {"414": too_long, "default": self._outside()}

    def _component(self, surface: Surface, status: int, response: dict[str, Any], some: Iterable[Exception]) -> str:
        names = dict.fromkeys(_name(error) for error in some)
        name = "-".join([re.sub(r"\W+", "_", surface.name), str(status), *names])
        return self._register(name, response)

    def _outside(self) -> str:
        example = {"value": problem_details(431, "Path, query and headers have at most 65536 bytes together.")}
        content = {PROBLEM_JSON: {"schema": Problem, "examples": {"TooLarge": example}}}
        return self._register("refused-unread", {"description": _OUTSIDE, "content": content, "headers": _headers(())})

    def _register(self, name: str, response: dict[str, Any]) -> str:
        told = repr(response)
        for number in count():
            numbered = f"{name}{number or ''}"
            if numbered not in self._named:
                self._named[numbered] = told
                self._spec.components.response(numbered, response)
            if self._named[numbered] == told:
                break
        return numbered


def _errors(surface: Surface, operation: Operation, method: str) -> Iterable[Exception]:
    yield from surface.common
    yield from operation.refusals
    if method not in _SAFE:
        yield ForeignOriginError()
    yield _TOO_LARGE
    yield _CRASH
    if operation.uses_store:
        yield _BUSY


def _succeeding(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description, "headers": _headers(answer.headers)}
    if answer.shape is not None:
        examples = {name: {"value": value} for name, value in answer.examples.items()}
        response["content"] = {answer.content_type: {"schema": answer.shape, "examples": examples}}
    return response


def _refusing(surface: Surface, status: int, some: Iterable[Exception]) -> dict[str, Any]:
    said: dict[str, None] = {}
    headers: dict[str, None] = {}
    shapes: dict[str, list[Shape]] = {}
    examples: dict[str, dict[str, Any]] = {}

    def add(kind: str, shape: Shape, error: Exception, body: object) -> None:
        if shape not in shapes.setdefault(kind, []):
            shapes[kind].append(shape)
        named = examples.setdefault(kind, {})
        if all(example["value"] != body for example in named.values()):
            number = sum(name.rstrip("0123456789") == _name(error) for name in named)
            named[f"{_name(error)}{number + 1 if number else ''}"] = {"summary": _said(error), "value": body}

    for error in some:
        answer = surface.refusals.answer(error)
        said[_said(error)] = None
        headers |= dict.fromkeys(name for name in answer.headers.keys() if name not in _UNSAID)  # noqa: SIM118 - a header twice
        add(answer.mimetype or "", surface.shape_of(error), error, answer.get_json())
        if error in {_TOO_LARGE, _BUSY}:  # which the server may tell before the surface does
            add(PROBLEM_JSON, Problem, error, problem_details(status, refusal_of(error).detail))
    content = {
        kind: {"schema": some[0] if len(some) == 1 else {"anyOf": list(some)}, "examples": examples[kind]}
        for kind, some in shapes.items()
    }
    return {"description": " ".join(said), "headers": _headers(headers), "content": content}


def _headers(names: Iterable[str]) -> Mapping[str, str]:
    return {name: name for name in (*COMMON, *names)}


def _name(error: Exception) -> str:
    return "Crash" if error is _CRASH else type(error).__name__.removesuffix("Error")


def _said(error: Exception) -> str:
    """Return what there is to say of an error, whatever its details are."""
    if type(error) in _SAID:
        return _SAID[type(error)]
    if error is _CRASH or type(error) in REFUSALS or not isinstance(error, errors.DoormanError):
        return refusal_of(error).detail
    return (type(error).__doc__ or "").partition(";")[0].rstrip(".") + "."
