"""What one request may cost."""

from dataclasses import dataclass

from api.problems import CLOSE, RefusedError
from api.wsgi_bridge import Scope, raw_path


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost. Sizes in bytes, times in seconds.

    ``head_bytes`` bounds path, query, and the names and values of the headers, all together. ``queue_length`` and
    ``queue_seconds`` bound the requests that wait for a thread, ``piece_seconds`` the time in which a client must take
    each 16 KiB of a long answer.
    """

    head_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024
    body_seconds: float = 5.0
    queue_length: int = 1024
    queue_seconds: float = 10.0
    piece_seconds: float = 20.0


def check_head(scope: Scope, *, at_most: int) -> None:
    """Raise ``RefusedError`` for no method, what is ambiguous, and more than ``at_most`` bytes of path and headers."""
    method: str = scope["method"]
    # Methods are case-sensitive (RFC 9110, section 9.1), but Werkzeug makes a DELETE of the "delete" that a proxy in
    # front may have let pass.
    if not (method.isascii() and method.isupper()):
        raise RefusedError(501, "Methods are written in capital letters.", CLOSE)
    _check_ambiguity(scope)
    check_size(scope, at_most=at_most)


def _check_ambiguity(scope: Scope) -> None:
    """Raise ``RefusedError`` for what a proxy in front may have read otherwise: a request may be hidden in it."""
    hosts = 0
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            # One that does not know the coding sees the body's end elsewhere (RFC 9112, sections 6.1 and 11.2).
            raise RefusedError(400, "Bodies are encoded for transfer as chunks alone.", CLOSE)
    if hosts > 1:  # RFC 9112, section 3.2
        raise RefusedError(400, "There is more than one Host.", CLOSE)


def check_size(scope: Scope, *, at_most: int) -> None:
    size = len(raw_path(scope)) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > at_most:
        raise RefusedError(431, f"Path, query and headers have at most {at_most} bytes together.", CLOSE)
