"""Browsers are not trusted to mean it: they resend cached Basic credentials and cookies for any page that asks.

Unsafe methods from a foreign origin are refused unless ``ALLOWED_ORIGINS`` names it, and the same setting drives CORS.
"""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, Flask, Response, request

from api.proxies import TrustedProxies
from api.refusals import ForeignOriginError

_SAFE = {"GET", "HEAD", "OPTIONS"}  # RFC 9110, 9.2.1
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, If-Match, X-API-KEY, X-USER-KEY, traceparent, tracestate"
    ),
    "Access-Control-Max-Age": "600",
}
_OWN_SITES = {"none", "same-origin"}  # typed in by the user, or by a page of the very origin
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NOBODY: frozenset[str] = frozenset()
_EXPOSED = "ETag, Link, Retry-After, WWW-Authenticate, X-Request-ID"


class BrowserRules:
    """Decides which pages may make a browser send what."""

    def __init__(self, allowed_origins: Collection[str], proxies: TrustedProxies) -> None:
        self._allowed = frozenset(allowed_origins)
        self._proxies = proxies
        self._for_own_pages: set[str] = set()
        self._for_proxies: set[str] = set()

    def keep_to_own_pages(self, blueprint: Blueprint) -> None:
        """Let pages of no other origin call these routes or read their answers, not even those that are allowed."""
        self._for_own_pages.add(blueprint.name)

    def keep_to_proxies(self, blueprint: Blueprint) -> None:
        """Leave preflights to these routes: a proxy that takes any 2xx for a welcome would let them through."""
        self._for_proxies.add(blueprint.name)

    def register(self, app: Flask) -> None:
        app.before_request(self._refuse_foreign_pages)
        app.after_request(self._add_cors_headers)

    def _refuse_foreign_pages(self) -> Response | None:
        origin = request.headers.get("Origin")
        is_preflight = request.method == "OPTIONS" and origin and "Access-Control-Request-Method" in request.headers
        if is_preflight and request.blueprint not in self._for_proxies:
            # A preflight carries no credentials, so it is answered without any.
            answer = Response(status=204, headers=_CORS if origin in self._allowed_here() else None)
            del answer.headers["Content-Type"]
            return answer
        if request.method not in _SAFE and not self._is_welcome_here():
            raise ForeignOriginError
        return None

    def _is_welcome_here(self) -> bool:
        if request.blueprint not in self._for_own_pages:
            return self.welcome(request.environ)
        origin = request.headers.get("Origin")
        if origin is None:
            return request.headers.get("Sec-Fetch-Site", "none") in _OWN_SITES
        return origin == self._own_origin(request.environ)

    def _allowed_here(self) -> frozenset[str]:
        return _NOBODY if request.blueprint in self._for_own_pages else self._allowed

    def _add_cors_headers(self, response: Response) -> Response:
        allowed = self._allowed_here()
        if allowed:
            response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    def welcome(self, environ: dict[str, Any]) -> bool:
        """Tell whether a request that may change something comes from no page, or from one that may send it."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            # Not sent by a browser, or by one that says in Sec-Fetch-Site where the page came from.
            return environ.get("HTTP_SEC_FETCH_SITE") != "cross-site"
        return origin in self._allowed or origin == self._own_origin(environ)

    def _own_origin(self, environ: dict[str, Any]) -> str:
        scheme, host = self._proxies.scheme(environ), self._proxies.host(environ)
        # Browsers leave out the port that goes without saying, and some proxies do not.
        return f"{scheme}://{host}".lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
