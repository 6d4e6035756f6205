"""The Flask application: what it answers itself of what the server and the surfaces ask of it."""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.routing import Rule

from api.debugging import require_loopback
from api.exchanges import KEY as EXCHANGE
from api.exchanges import REQUEST_ID, Exchange, RunningFor, current
from api.foresight import foresee
from api.proxies import TrustedProxies
from api.routes import AnyMethodRule
from api.websocket import Conversations
from models.core import Core


class _Json(DefaultJSONProvider):
    """JSON as the contracts print it: members in their order, and one form in every mode."""

    sort_keys = False
    compact = True


class Doorman(Flask):
    """The Flask application over one core, which is closed with it."""

    json_provider_class = _Json
    url_rule_class: type[Rule] = AnyMethodRule
    conversations: Conversations | None = None

    def __init__(self, core: Core, threads: int, proxies: TrustedProxies) -> None:
        super().__init__("doorman", static_folder=None)
        self.core = core
        self.threads = threads
        self._proxies = proxies
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # Flask would answer OPTIONS itself, unguarded
        self.url_map.merge_slashes = False
        self.before_request(self._note_route)
        self._surfaces: dict[str, str] = {}  # by the names of their blueprints

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, of which our own server knows more than another WSGI server."""
        exchange: Exchange | None = environ.get(EXCHANGE)
        if exchange is None:
            exchange = environ[EXCHANGE] = Exchange()
            exchange.read(environ, self._proxies)
            start_response = _naming(exchange, start_response)
        with RunningFor(exchange):
            return super().__call__(environ, start_response)

    def open_surface(self, surface: str, blueprint: Blueprint) -> None:
        """Serve a blueprint as a part of a surface, which the audit trail names: nothing can be changed by others."""
        self._surfaces[blueprint.name] = surface
        self.register_blueprint(blueprint)

    def _note_route(self) -> None:
        rule = request.url_rule
        if rule is not None:
            exchange = current()
            exchange.route = rule.rule
            exchange.surface = self._surfaces.get(rule.endpoint.partition(".")[0])

    @property
    def debug(self) -> bool:
        """False: what is answered is the same in every mode."""
        return False

    @debug.setter
    def debug(self, value: bool) -> None:
        """Do nothing, whatever ``FLASK_DEBUG`` and ``flask --debug`` say: else answers would tell of our insides."""

    def run(self, host: str | None = None, *rest: Any, **options: Any) -> None:
        """Serve by Flask's development server, as a script may; with its debugger on loopback alone."""
        if options.get("use_debugger"):
            require_loopback(host)
        super().run(host, *rest, **options)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take every function for what it is: none here is a coroutine, and to look each time takes Flask 3 µs."""
        return func

    def foresee(self, environ: dict[str, Any]) -> bool:
        """Ask for the users that the request will need; tell whether it may need nothing else."""
        environ[EXCHANGE].read(environ, self._proxies)
        return foresee(environ, self.core.authenticator, self._proxies)

    def read_ahead(self) -> None:
        """Read what was foreseen."""
        self.core.lookups.read_ahead()

    def close(self) -> None:
        """Let go of the core."""
        self.core.close()


def _naming(exchange: Exchange, start_response: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``start_response`` that has the answer name its request."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        return start_response(status, [*headers, (REQUEST_ID, exchange.request_id)], *error)

    return start
