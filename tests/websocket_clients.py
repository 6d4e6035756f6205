"""Clients of the users API over one WebSocket, by the library ``websockets``."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect

from tests.running import SOURCES

PATIENCE = 20.0
ANONYMOUS = "Valid credentials are needed."
TOO_OFTEN = "Logins from here have failed; wait before the next one."


class Talker:
    """One connection, and what is said over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def ask(self, action: str, /, **data: object) -> Any:
        """Send a request, and return its answer."""
        self.connection.send(json.dumps({"action": action, "data": data}))
        return json.loads(self.connection.recv(PATIENCE))

    def told(self, action: str, /, **data: object) -> Any:
        """Return the data of an answer that is no error."""
        answer = self.ask(action, **data)
        assert "error" not in answer, answer
        return answer.get("data")

    def refused(self, action: str, /, **data: object) -> str:
        """Return the error of an answer that is one."""
        answer = self.ask(action, **data)
        assert "error" in answer, answer
        error: str = answer["error"]
        return error

    def is_there(self) -> bool:
        return bool(self.ask("ping") == {"action": "pong"})

    def closed_with(self) -> int | None:
        """Return the code of the close frame that comes next."""
        with pytest.raises(ConnectionClosed) as raised:
            self.connection.recv(PATIENCE)
        return raised.value.rcvd.code if raised.value.rcvd else None


class Talk(Protocol):
    """Begins a conversation; ``options`` are of ``websockets.sync.client.connect``."""

    def __call__(self, url: str, authorization: str | None = None, **options: Any) -> Talker: ...


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Open connections that are closed after the test, from an address each unless ``source_address`` gives it one."""
    with ExitStack() as ends:

        def talk(url: str, authorization: str | None = None, **options: Any) -> Talker:
            headers = dict(options.pop("additional_headers", {}))
            if authorization is not None:
                headers["Authorization"] = authorization
            options.setdefault("source_address", (next(SOURCES), 0))
            url = url.replace("http", "ws", 1) + "/users/"
            connection = connect(url, additional_headers=headers, open_timeout=PATIENCE, proxy=None, **options)
            return Talker(ends.enter_context(connection))

        yield talk


def refusal(talk: Talk, url: str, **options: Any) -> Response:
    """Return the answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as raised:
        talk(url, **options)
    return raised.value.response
