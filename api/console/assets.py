"""The console's style sheet, script and icon, under names with their digests: a browser may keep them for good."""

from hashlib import sha256
from importlib.resources import files
from pathlib import PurePath

from flask import Response

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


class Assets:
    """The files of the folder ``static``, read once."""

    def __init__(self) -> None:
        folder = files("api.console").joinpath("static")
        self._contents = {file.name: file.read_bytes() for file in folder.iterdir()}
        self._names = {name: _with_digest(name, content) for name, content in self._contents.items()}

    def name(self, file_name: str) -> str:
        """Return the name under which a file is served."""
        return self._names[file_name]

    def answer(self, asked: str) -> Response | None:
        """Return the file that is served under that name, or ``None``.

        A page of another version's replica asks for another digest: it gets what there is, which no browser keeps.
        """
        parts = asked.split(".")
        name = ".".join((parts[0], parts[-1]))
        if name not in self._contents:
            return None
        answer = Response(self._contents[name], content_type=_CONTENT_TYPES[PurePath(name).suffix])
        if asked == self._names[name]:
            answer.headers["Cache-Control"] = _FOR_GOOD
        return answer


def _with_digest(name: str, content: bytes) -> str:
    path = PurePath(name)
    return f"{path.stem}.{sha256(content).hexdigest()[:16]}{path.suffix}"
