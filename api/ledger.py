"""What one event loop knows of its requests: how many are under way, and what has become of the others."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from api.access_log import AccessLog
from api.exchanges import KEY, Exchange
from api.metrics import IN_PROGRESS, METHODS, OTHER_METHOD, REFUSALS, REQUEST_TIME, REQUESTS
from api.problems import status_reason
from api.wsgi_bridge import raw_path
from models.meter import Meter

_REFUSED_FROM = 400


class Ledger:
    """Begins and ends requests; the end is counted, and has a line in the access log."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._access_log = AccessLog()
        self._under_way = 0
        self._last_ended: asyncio.Event | None = None

    def begin(self, scope: MutableMapping[str, Any]) -> Exchange:
        """Begin a request, which its scope knows from now on."""
        exchange = scope[KEY] = Exchange()
        self._under_way += 1
        self.meter.move(IN_PROGRESS, 1)
        return exchange

    def end(self, exchange: Exchange, scope: MutableMapping[str, Any]) -> None:
        """End a request: all of its answer has been handed to the server, or it will have no more of it."""
        seconds = time.perf_counter() - exchange.began
        self._under_way -= 1
        if self._last_ended is not None and not self._under_way:
            self._last_ended.set()
        self.meter.move(IN_PROGRESS, -1)
        method = scope.get("method", "GET")
        status = exchange.status
        self.meter.count(REQUESTS, method if method in METHODS else OTHER_METHOD, exchange.route, str(status))
        self.meter.observe(REQUEST_TIME, seconds, exchange.route)
        if status >= _REFUSED_FROM:
            exchange.reason = exchange.reason or status_reason(status)
            self.meter.count(REFUSALS, exchange.reason)
        self._access_log.note(exchange, scope, raw_path(scope), status, seconds)
        exchange.forget()

    async def all_ended(self) -> None:
        """Return when no request is under way."""
        if self._under_way:
            self._last_ended = asyncio.Event()
            await self._last_ended.wait()
