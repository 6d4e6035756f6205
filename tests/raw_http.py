"""HTTP by hand: whatever bytes, over a connection of their own, and all that is answered."""

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass

from tests.running import SOURCES

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [A-Z]")
# So long may a server be silent that was sent what may be half a request, before it is told that no more will come.
_QUIET_SECONDS = 0.1
_MOST_BYTES = 1 << 16


@dataclass(slots=True)
class Exchange:
    """What came of it: the ``seconds`` from the last byte that was sent to the end of the connection."""

    answered: bytes
    seconds: float
    was_reset: bool

    @property
    def statuses(self) -> list[int]:
        """Return the statuses of the answers, interim ones left out."""
        return [status for found in _STATUS.findall(self.answered) if (status := int(found)) >= 200]


async def exchange(port: int, data: bytes, is_whole: bool, *, patience: float) -> Exchange:  # noqa: FBT001 - see Input
    """Send bytes, and return what is answered until the server ends the connection.

    Where they are no whole request, it is told that they are all, as soon as it is silent. Raises ``TimeoutError``.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(next(SOURCES), 0))
    answered = bytearray()
    was_reset = False

    async def read_on() -> None:
        nonlocal was_reset
        try:
            while got := await reader.read(_MOST_BYTES):
                answered.extend(got)
        except ConnectionError:  # it was not read to its end, so it ends like this
            was_reset = True

    try:
        async with asyncio.timeout(patience):
            reading = asyncio.create_task(read_on())
            with suppress(ConnectionError):  # it need not be read to its end
                writer.write(data)
                await writer.drain()
            began = time.monotonic()
            if not is_whole:
                before = -1
                while not reading.done() and len(answered) > before:
                    before = len(answered)
                    await asyncio.wait([reading], timeout=_QUIET_SECONDS)
                with suppress(OSError):  # it has been ended
                    writer.write_eof()
                began = time.monotonic() if not reading.done() else began
            await reading
        return Exchange(bytes(answered), time.monotonic() - began, was_reset)
    finally:
        reading.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
