"""What describes the API: ``/api/v2/openapi.json`` and ``asyncapi.json`` for tools, and ``/docs`` for people.

The documents are public: they say what any Doorman of this version says. So tools that read them need no credentials,
and the page can show what there is to log in to. ``SURFACES`` without ``docs`` leaves all of it out.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from flask import Blueprint, Flask, Response, abort, current_app, redirect, request
from werkzeug.wrappers import Response as AnyResponse

Describe: TypeAlias = Callable[[Flask], dict[str, Any]]

_FOLDER = Path(__file__).with_name("docs_page")
_PIECE = 64 * 1024
_ASSETS = {
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.LICENSE.txt": "text/plain; charset=utf-8",
}
# The icons of Swagger UI's style sheet are data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Documents:
    """The routes. A document is made when it is first asked for: until then, it costs a worker nothing."""

    def __init__(self, describe: Describe, describe_websocket: Describe | None) -> None:
        self._describe = describe
        self._describe_websocket = describe_websocket
        self._made: dict[Describe, Packed] = {}
        self._making = Lock()

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("documents", __name__)
        blueprint.get("/api/v2/openapi.json")(self.openapi)
        if self._describe_websocket is not None:
            blueprint.get("/api/v2/asyncapi.json")(self.asyncapi)
        blueprint.get("/docs")(self.page)
        blueprint.get("/docs/")(self.page_without_slash)
        blueprint.get("/docs/<digest>/<name>")(self.asset)
        return blueprint

    def openapi(self) -> Response:
        """Describe the HTTP API, as far as it is served here."""
        return self._document(self._describe)

    def asyncapi(self) -> Response:
        """Describe the WebSocket."""
        assert self._describe_websocket is not None  # noqa: S101 - else there is no route
        return self._document(self._describe_websocket)

    def page(self) -> Response:
        """Show the documents, and try the API."""
        html = (_FOLDER / "docs.html").read_text("utf-8").replace("DIGEST", _digest())
        html = html.replace("SERVED", "" if self._describe_websocket is None else "websocket")
        answer = Response(html, content_type="text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    def page_without_slash(self) -> AnyResponse:
        """Lead to the page, whose links are relative."""
        return redirect("../docs", 308)

    def asset(self, digest: str, name: str) -> Response:
        """Show a file of the page."""
        if name not in _ASSETS:
            abort(404)
        # While replicas of two versions serve, one may be asked for what the other's page names.
        caching = "public, max-age=31536000, immutable" if digest == _digest() else "no-cache"
        return _asset(name).answer(_ASSETS[name], caching)

    def _document(self, describe: Describe) -> Response:
        with self._making:
            if describe not in self._made:
                app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's way
                text = json.dumps(describe(app), ensure_ascii=False, separators=(",", ":"))
                self._made[describe] = Packed(gzip.compress(text.encode(), mtime=0))
        return self._made[describe].answer("application/json", "no-cache")


class Packed:
    """Bytes that are kept compressed, and shared by all who are sent them."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._tag = sha256(packed).hexdigest()[:32]

    def answer(self, content_type: str, caching: str) -> Response:
        """Make the answer, as the current request wants it encoded; 304 if the client has it."""
        answer = Response(content_type=content_type)
        if request.accept_encodings["gzip"]:
            answer.set_data(self._packed)
            answer.headers["Content-Encoding"] = "gzip"
        else:
            answer.response = self._pieces()
            # RFC 1952, 2.3.1. Without it, Werkzeug would unpack all of it to see.
            answer.content_length = int.from_bytes(self._packed[-4:], "little")
        answer.vary.add("Accept-Encoding")
        answer.headers["Cache-Control"] = caching
        answer.set_etag(self._tag, weak=True)  # of what is inside, however it is encoded
        answer.make_conditional(request)
        return answer

    def _pieces(self) -> Iterator[bytes]:
        """Yield it unpacked, without ever holding all of that: who reads slowly would have us keep it."""
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)  # the format of gzip
        rest = self._packed
        while not unpacking.eof:
            yield unpacking.decompress(rest, _PIECE)
            rest = unpacking.unconsumed_tail


@cache
def _asset(name: str) -> Packed:
    packed = _FOLDER / f"{name}.gz"
    return Packed(packed.read_bytes() if packed.exists() else gzip.compress((_FOLDER / name).read_bytes(), mtime=0))


@cache
def _digest() -> str:
    """Return what the files of the page have in their URLs, so that browsers may keep them for good."""
    return sha256(b"".join(path.read_bytes() for path in sorted(_FOLDER.iterdir()))).hexdigest()[:16]
