"""Where log lines go. No line holds a password, a token, an Authorization header or a query string."""

import logging
import time
from threading import Lock

from api.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send log lines to standard error, unless whoever runs this process has decided otherwise already."""
    logging.basicConfig(level=settings.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for client in ("httpx2", "httpcore2"):  # they log each request of an issuer, which is nobody's concern
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.getLogger("pymongo").setLevel(logging.WARNING)  # at debug level it logs whole commands


class Rarely:
    """Logs a warning, and for some ``seconds`` only counts those that follow: a flood must not fill the log."""

    def __init__(self, logger: logging.Logger, seconds: float = 5.0) -> None:
        self._logger = logger
        self._seconds = seconds
        self._lock = Lock()
        self._silent_until = 0.0
        self._left_out = 0

    def warning(self, text: str) -> None:
        with self._lock:
            if time.monotonic() < self._silent_until:
                self._left_out += 1
                return
            left_out, self._left_out = self._left_out, 0
            self._silent_until = time.monotonic() + self._seconds
        self._logger.warning("%s%s", text, f" (and {left_out} times the like before)" if left_out else "")
