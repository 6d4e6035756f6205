"""The routes that an application serves, as its URL map has them."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from flask import Flask
from werkzeug.routing import Rule

from api.description.operations import View
from api.routes import MethodViews

# What is for people to look at is no part of the API.
PAGES = ("/docs", "/console")
# HEAD is GET's, and OPTIONS the browsers'.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PLACE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Route:
    """A path, as OpenAPI writes it, a method, and the function that answers; ``given`` is what is fixed beforehand."""

    path: str
    method: str
    view: View
    given: tuple[str, ...]

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(.*?)}", self.path)


def routes(app: Flask) -> Iterator[Route]:
    """Yield the routes of the API, in the order in which they were added."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(PAGES):
            continue
        answering = app.view_functions[rule.endpoint]
        if isinstance(answering, MethodViews):
            views = dict(answering.views)
        else:
            views = dict.fromkeys(rule.methods or (), answering)
        for method in _METHODS:
            if method in views:
                yield Route(templated(rule), method, *_function(views[method]))


def templated(rule: Rule) -> str:
    """Return the path of a rule as OpenAPI writes it; without the slash at its end, if it may do without."""
    path = _PLACE.sub(r"{\1}", rule.rule)
    return path if rule.strict_slashes else path.rstrip("/")


def _function(view: View) -> tuple[View, tuple[str, ...]]:
    view = inspect.unwrap(view)
    given = view.args if isinstance(view, partial) else ()
    view = view.func if isinstance(view, partial) else view
    return getattr(view, "__func__", view), given
