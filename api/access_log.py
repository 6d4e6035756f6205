"""A line for each request, where it is wanted: ``ACCESS_LOG``, or the log level ``debug``."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from api.exchanges import Exchange
from api.log_lines import fields

# Refusals cost whoever floods us nothing; so no more of them than this have a line, each second.
_REFUSALS_PER_SECOND = 100
_MOST_OF_PATH = 512
_REFUSED_FROM = 400

logger = logging.getLogger(__name__)


class AccessLog:
    """The access log of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._refusals = 0
        self._left_out = 0

    def note(self, exchange: Exchange, scope: Mapping[str, Any], path: str, status: int, seconds: float) -> None:
        """Write the line of a request. It has neither the query nor a header."""
        if not logger.isEnabledFor(logging.INFO) or (status >= _REFUSED_FROM and self._is_one_too_many()):
            return
        left_out, self._left_out = self._left_out, 0
        path = path if len(path) <= _MOST_OF_PATH else f"{path[:_MOST_OF_PATH]}…"
        milliseconds = round(seconds * 1000, 1)
        known = {"method": scope.get("method", "GET"), "route": exchange.route, "status": status}
        logger.info(
            "%s %s %d %.1f ms",
            known["method"],
            path,
            status,
            milliseconds,
            extra=fields(
                **exchange.fields(),
                **known,
                duration_ms=milliseconds,
                client=exchange.client or None,
                user_id=exchange.user_id,
                refused=exchange.reason,
                left_out=left_out or None,
            ),
        )

    def _is_one_too_many(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._refusals = second, 0
        self._refusals += 1
        if self._refusals <= _REFUSALS_PER_SECOND:
            return False
        self._left_out += 1
        return True
