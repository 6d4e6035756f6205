"""The WSGI side of the ASGI adapter: the environ, and what one call of the application gave.

What runs the application here runs in a thread of the pool (``api.threads``), or on the event loop if it need not wait
for anything; nothing here waits for a client.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from io import BytesIO
from types import TracebackType
from typing import Any, NoReturn, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from api.exchanges import KEY as EXCHANGE
from api.log_lines import fields

Scope: TypeAlias = MutableMapping[str, Any]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

# Header names come from clients, so the memory of their translations is bounded.
_REMEMBERED_LENGTH, _REMEMBERED_NAMES = 64, 512
_environ_names: dict[bytes, str] = {b"content-type": "CONTENT_TYPE"}
# What is about the connection is no business of the application, which might take a request for a handshake.
_NOT_PASSED_ON = frozenset((b"content-length", b"transfer-encoding", b"upgrade"))

logger = logging.getLogger(__name__)


class WsgiApplication(Protocol):
    """A WSGI application (PEP 3333) that owns what it opened: ``close()`` is called once, after its last request.

    It is called from ``threads`` threads at once, and from the event loop's. ``foresee()`` is called on the event loop
    as soon as a request is whole; it may note what the request will need, and must not block. If it returns true, the
    request is tried on the event loop once ``read_ahead()`` has run in a thread, and in a thread only if it would have
    to wait even so (``models.waiting``).
    """

    threads: int

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any], /) -> Iterable[bytes]: ...

    def foresee(self, environ: dict[str, Any], /) -> bool: ...

    def read_ahead(self) -> None: ...

    def close(self) -> None: ...


class Answer:
    """What a call of the application gave: a whole body, or the first chunk of a stream whose rest ``pull`` gives.

    ``status`` and ``headers`` are ready for ASGI. ``streamed`` tells the two apart. ``pull`` and ``close`` block, so
    they belong into a thread; ``close`` may be called more than once.
    """

    __slots__ = ("_chunks", "_close", "_handed_over", "body", "headers", "status", "streamed")

    def __init__(self) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self.body = b""
        self.streamed = False
        self._handed_over = False
        self._chunks: Iterator[bytes] = iter(())
        self._close: Callable[[], None] | None = None

    def start_response(
        self, status: str, headers: Sequence[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], NoReturn]:
        if exc_info is None and self.status:
            raise RuntimeError("start_response was called twice without exc_info")
        if exc_info is not None and exc_info[1] is not None and self._handed_over:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status = int(status[:3])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _refuse_write

    def take(self, iterable: Iterable[bytes], *, head: bool, whole_below: int) -> None:
        """Read ``iterable``: all of it if its declared length is at most ``whole_below`` bytes, or its first chunk."""
        self._close = getattr(iterable, "close", None)
        self._chunks = iter(iterable)
        if not self.status:
            # PEP 3333 lets an application call start_response as late as with its first chunk.
            self.body = self.pull() or b""
        bodiless = head or self.status in (204, 304) or 100 <= self.status < 200  # noqa: PLR2004 - see RFC 9110
        declared = next((int(value) for name, value in self.headers if name == b"content-length"), None)
        if bodiless:
            self.body = b""
        elif isinstance(iterable, list | tuple) or (declared is not None and declared <= whole_below):
            self.body += b"".join(self._chunks)
            if declared is None:
                self.headers.append((b"content-length", b"%d" % len(self.body)))
            elif declared != len(self.body):
                raise RuntimeError("the body is not as long as its Content-Length")
        else:
            self.body = self.body or self.pull() or b""
            self.streamed = True
            self._handed_over = True
            return
        self.close()

    def pull(self) -> bytes | None:
        """Return the next chunk that is not empty, or None at the end. Raises what the application raises."""
        return next((chunk for chunk in self._chunks if chunk), None)

    def close(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()


def call(application: WsgiApplication, environ: dict[str, Any], *, whole_below: int) -> Answer:
    """Run one request. Raises what the application raises before there is anything to send."""
    answer = Answer()
    iterable = application(environ, answer.start_response)
    try:
        answer.take(iterable, head=environ["REQUEST_METHOD"] == "HEAD", whole_below=whole_below)
    except BaseException:
        answer.close()
        raise
    return answer


def build_environ(scope: Scope, body: bytes | None) -> dict[str, Any]:
    """Return the environ of PEP 3333 for an ASGI ``http`` scope; ``body`` is None when the request has none.

    ``PATH_INFO`` holds the path's decoded bytes as Latin-1, whatever they are. ``RAW_URI`` and ``REQUEST_URI`` hold
    path and query as sent, the only place where ``%2F`` and ``/`` differ. Header names with an underscore are left out:
    ``X_Forwarded_For`` would become the same key as the ``X-Forwarded-For`` that a trusted proxy sets. So is
    ``Transfer-Encoding``, since the body is decoded by now.
    """
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: str = scope["query_string"].decode("latin-1")
    path = (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1")
    uri = raw_path.decode("latin-1") + (f"?{query}" if query else "")
    root: str = scope.get("root_path", "").encode().decode("latin-1")
    path = path.removeprefix(root)
    host, port = scope.get("server") or ("localhost", 80)
    version: str = scope["http_version"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": uri,
        "REQUEST_URI": uri,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        # Granian says "1" for HTTP/1.0.
        "SERVER_PROTOCOL": "HTTP/1.0" if version == "1" else f"HTTP/{version}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body or b""),
        "wsgi.input_terminated": body is not None,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in scope["headers"]:
        key = _environ_names.get(name)
        if key is None:
            if b"_" in name or name in _NOT_PASSED_ON:
                continue
            key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
            if len(name) <= _REMEMBERED_LENGTH and len(_environ_names) < _REMEMBERED_NAMES:
                _environ_names[name] = key
        text = value.decode("latin-1")
        if key in environ:
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        environ[key] = text
    return environ


def log_failure(what: str, scope: Scope, error: BaseException) -> None:
    """Log where ``error`` came from. Its message is left out: it may quote a query string, a header or a body."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_qualname}")
        traceback = traceback.tb_next
    where = " > ".join(frames)
    exchange = scope.get(EXCHANGE)
    logger.error(
        "%s: %s %s: %s at %s",
        what,
        scope.get("method", "GET"),
        raw_path(scope),
        type(error).__qualname__,
        where,
        extra=fields(**(exchange.fields() if exchange else {})),
    )


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, without the query: what may be logged of a request's target."""
    return (scope.get("raw_path") or b"").decode("latin-1")


def _refuse_write(_: bytes) -> NoReturn:
    raise NotImplementedError("the write() of start_response is not supported: return an iterable instead")
