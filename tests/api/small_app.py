"""A small Flask application behind the adapter, for the server tests.

It runs in other processes than the tests, so the two tell each other what happened by notes: files of one directory.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from api.limits import Limits
from api.server import AsgiApplication

CHUNK = b"x" * 65_536
GIGABYTE_OF_CHUNKS = 16_384
PATIENCE = 20.0


@dataclass
class Notes:
    """Notes in a directory that processes leave for each other."""

    directory: Path

    def leave(self, name: str, text: str = "") -> None:
        """Write aside and rename, so that a note is whole as soon as it is seen."""
        aside = self.directory / f".{name}.{os.getpid()}"
        aside.write_text(text)
        aside.rename(self.directory / name)

    def read(self, name: str) -> str | None:
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return None

    def wait_for(self, name: str) -> str:
        until(lambda: self.read(name) is not None, f"the note {name!r}")
        return self.read(name) or ""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something in another process, which has no event that this one could await."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Service(Flask):
    """Flask with what the adapter asks for beside."""

    notes: Notes
    conversations = None

    def foresee(self, _: dict[str, Any]) -> bool:
        """Know nothing of what a request needs."""
        return False

    def read_ahead(self) -> None:
        """Read nothing."""

    def close(self) -> None:
        self.notes.leave("closed")


def build() -> Service:
    """Build the application; fails when the test wants it to."""
    if "FAIL_AT_START" in os.environ:
        raise RuntimeError("the database is not there")
    service = Service("service")
    service.notes = Notes(Path(os.environ["NOTES"]))
    add_plain_routes(service)
    add_streams(service, service.notes)
    return service


def add_plain_routes(service: Service) -> None:
    @service.get("/hello")
    def hello() -> str:
        return "hello"

    @service.post("/length")
    def length() -> dict[str, Any]:
        return {"body": len(request.get_data()), "declared": request.content_length}

    @service.route("/environ/<path:_>", methods=["GET", "POST", "OPTIONS"])
    def environ(_: str) -> dict[str, str]:
        return {key: value for key, value in request.environ.items() if isinstance(value, str)}

    @service.get("/held/<name>")
    def held(name: str) -> str:
        service.notes.leave(f"begun-{name}")
        service.notes.wait_for("release")
        return "finished"

    @service.get("/large")
    def large() -> bytes:
        return b"y" * 1_000_000

    @service.get("/page")
    def page() -> bytes:
        return b"z" * 60_000

    @service.get("/nothing")
    def nothing() -> tuple[str, int]:
        return "", 204


def add_streams(service: Service, notes: Notes) -> None:
    @service.get("/endless/<name>")
    def endless(name: str) -> Response:
        def chunks() -> Iterator[bytes]:
            produced = 0
            try:
                for produced in range(1, GIGABYTE_OF_CHUNKS + 1):
                    notes.leave(f"produced-{name}", str(produced))
                    yield CHUNK
            finally:
                notes.leave(f"ended-{name}", str(produced))

        return Response(chunks())

    @service.get("/breaks")
    def breaks() -> Response:
        def chunks() -> Iterator[bytes]:
            yield b"first"
            notes.wait_for("break-now")
            raise RuntimeError("words-of-an-exception")

        return Response(chunks())


class Failing:
    """WSGI around ``build()`` that fails, before or at its first chunk, where Flask cannot make an answer of it."""

    threads = int(os.environ.get("THREADS", "4"))
    conversations = None

    def __init__(self) -> None:
        self.service = build()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError("words-of-an-exception")
        if environ["PATH_INFO"] == "/writes":
            start_response("200 OK", [])(b"chunk")
        return self.service(environ, start_response)

    def foresee(self, environ: dict[str, Any]) -> bool:
        return self.service.foresee(environ)

    def read_ahead(self) -> None:
        self.service.read_ahead()

    def close(self) -> None:
        self.service.close()


if "HOLD_IMPORT" in os.environ:
    _notes = Notes(Path(os.environ["NOTES"]))
    _notes.leave("importing")
    _notes.wait_for("release")

app = AsgiApplication(Failing, limits=Limits(**json.loads(os.environ.get("LIMITS", "{}"))))
