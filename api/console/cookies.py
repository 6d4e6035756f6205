"""The console's cookies: for this host alone, out of reach of scripts, and never sent along from another site."""

from flask import Response, request

from api.proxies import TrustedProxies


class Cookies:
    """Where the client speaks TLS, a cookie's name begins with ``__Host-``: then no other host can have set it.

    They have no lifetime of their own: a browser lets go of them when it ends, and sessions end by themselves.
    """

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies

    def read(self, noun: str) -> str:
        """Return the value that the request brings, or nothing."""
        return request.cookies.get(self._name(noun), "")

    def write(self, answer: Response, noun: str, value: str) -> None:
        # The path is the whole host's, as the prefix wants it: a proxy may have taken a part of it away.
        answer.set_cookie(self._name(noun), value, path="/", secure=self._is_secure(), httponly=True, samesite="Strict")

    def drop(self, answer: Response, noun: str) -> None:
        answer.delete_cookie(self._name(noun), path="/", secure=self._is_secure(), httponly=True, samesite="Strict")

    def _name(self, noun: str) -> str:
        return f"__Host-doorman-{noun}" if self._is_secure() else f"doorman-{noun}"

    def _is_secure(self) -> bool:
        return self._proxies.scheme(request.environ) == "https"
