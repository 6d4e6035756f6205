"""How a worker stops: its WebSockets are closed before Granian is told to stop.

Granian would break them off. It gives them no time for a close frame, which says that the client may connect again.
"""

import asyncio
import signal
from collections.abc import Callable

from granian._granian import WorkerSignal

from api.launch import Launch
from api.server import AsgiApplication


class ClosingFirst:
    """Stands between the signals of a worker and Granian, whose function of the same name it takes the place of."""

    def __init__(self, load: Callable[[], AsgiApplication], launch: Launch, *, takes_connections: bool) -> None:
        self._load = load
        self._launch = launch
        self._takes_connections = takes_connections
        self._application: AsgiApplication | None = None
        self._closing: asyncio.Task[None] | None = None

    def load(self) -> AsgiApplication:
        """Load the application, as Granian does, and remember it."""
        self._application = self._load()
        self._application.launched(self._launch)
        if self._takes_connections:
            self._application.take_connections()
        return self._application

    def set_loop_signals(self, loop: asyncio.AbstractEventLoop) -> WorkerSignal:
        """Return what Granian waits for; it is set when the WebSockets are closed, after the first signal."""
        stop = WorkerSignal()

        async def close() -> None:
            try:
                if self._application is not None:
                    await self._application.stop_websockets()
            finally:
                stop.set()

        def on_signal() -> None:
            if self._closing is None:
                self._closing = loop.create_task(close())

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        return stop
