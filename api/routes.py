"""Blueprints of the surfaces whose errors have a shape of their own, also for a method that does not work."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, request
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Rule

from api.refusals import Refusals
from models.errors import InvalidParametersError

View = Callable[..., Any]


class AnyMethodRule(Rule):
    """A rule that may match whatever the method is, which Flask cannot say: then the view looks at it."""

    def __init__(self, string: str, *, any_method: bool = False, **options: Any) -> None:
        super().__init__(string, **(options | {"methods": None} if any_method else options))


class MethodViews:
    """The views of a path, one for each method that works there."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self.views = views

    def __call__(self, **values: str) -> Any:
        if request.method not in self.views:
            raise MethodNotAllowed(list(self.views))
        return self.views[request.method](**values)


def make_surface(name: str, refusals: Refusals) -> Blueprint:
    """Make the blueprint of a surface. Whatever its paths call the instance, this is the one."""
    blueprint = Blueprint(name, __name__)
    blueprint.url_value_preprocessor(_without_instance)
    blueprint.before_request(_refuse_odd_query)
    refusals.register(blueprint)
    return blueprint


def add_route(blueprint: Blueprint, path: str, **views: View) -> None:
    """Add a path with a view for each method that works there: ``GET=self.list_users``.

    With a slash at its end, a path is also found without it.
    """
    if "GET" in views:
        views["HEAD"] = views["GET"]

    blueprint.add_url_rule(path, path.replace(".", " "), MethodViews(views), strict_slashes=False, any_method=True)


def _without_instance(_: str | None, values: dict[str, Any] | None) -> None:
    (values or {}).pop("instance", None)


def _refuse_odd_query() -> None:
    try:
        request.query_string.decode()
    except UnicodeDecodeError as error:
        raise InvalidParametersError({"query": ["It must be UTF-8."]}) from error
