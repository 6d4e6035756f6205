"""Clients of the users API over one WebSocket, by the library ``websockets``.

One loop runs them all, whenever one of them is asked something: the library's clients with threads read and write TLS
at the same time, which CPython before 3.13 does not bear, and then some handshakes are never answered.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from tests.running import SOURCES

PATIENCE = 20.0
ANONYMOUS = "Valid credentials are needed."
TOO_OFTEN = "Logins from here have failed; wait before the next one."

Result = TypeVar("Result")


class Talker:
    """One connection, and what is said over it."""

    def __init__(self, runner: asyncio.Runner, connection: ClientConnection) -> None:
        self._runner = runner
        self._connection = connection

    def ask(self, action: str, /, **data: object) -> Any:
        """Send a request, and return its answer."""
        self._run(self._connection.send(json.dumps({"action": action, "data": data})))
        return json.loads(self._run(self._connection.recv()))

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
            self._run(self._connection.recv())
        return raised.value.rcvd.code if raised.value.rcvd else None

    def close(self) -> None:
        self._run(self._connection.close())

    def _run(self, what: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(asyncio.wait_for(what, PATIENCE))


class Talk(Protocol):
    """Begins a conversation; ``options`` are of ``websockets.asyncio.client.connect``."""

    def __call__(
        self, url: str, authorization: str | None = None, *, source: str | None = None, **options: Any
    ) -> Talker: ...


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Open connections that are closed after the test; each comes from an address of its own unless it is given one."""
    talkers: list[Talker] = []
    with asyncio.Runner() as runner:

        def talk(url: str, authorization: str | None = None, *, source: str | None = None, **options: Any) -> Talker:
            headers = dict(options.pop("additional_headers", {}))
            if authorization is not None:
                headers["Authorization"] = authorization

            async def connected() -> ClientConnection:
                return await connect(
                    url.replace("http", "ws", 1) + "/users/",
                    additional_headers=headers,
                    local_addr=(source or next(SOURCES), 0),
                    open_timeout=PATIENCE,
                    ping_interval=None,
                    proxy=None,
                    **options,
                )

            talkers.append(Talker(runner, runner.run(connected())))
            return talkers[-1]

        yield talk
        for talker in talkers:
            talker.close()


def refusal(talk: Talk, url: str, **options: Any) -> Response:
    """Return the answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as raised:
        talk(url, **options)
    return raised.value.response
