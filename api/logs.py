"""Where log lines go, and in which form. No line holds a password, a token, an Authorization header or a query."""

import logging
import re
import sys
import time
from threading import Lock

from api import access_log
from api.log_lines import JsonLines, TextLines
from api.settings import Settings

_QUERY = re.compile(r"\?[^ ]*")


def configure_logging(settings: Settings) -> None:
    """Send log lines to standard error, unless whoever runs this process has decided otherwise already."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(TextLines() if _is_text(settings.log_format) else JsonLines())
        root.addHandler(handler)
        root.setLevel(settings.logging_level)
    has_access = settings.access_log == "on" or settings.logging_level <= logging.DEBUG
    access_log.logger.setLevel(logging.INFO if has_access else logging.WARNING)
    for client in ("httpx2", "httpcore2"):  # they log each request of an issuer, which is nobody's concern
        logging.getLogger(client).setLevel(logging.WARNING)
    for server in ("werkzeug", "uvicorn.access"):
        logging.getLogger(server).addFilter(_without_query)
    # In its debug mode it shows what callbacks were given.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("pymongo").setLevel(logging.WARNING)  # at debug level it logs whole commands


def _without_query(record: logging.LogRecord) -> bool:
    """Take the query out of a request line that another server logs, and let the line pass."""
    if isinstance(record.args, tuple):
        record.args = tuple(_QUERY.sub("?…", part) if isinstance(part, str) else part for part in record.args)
    return True


def _is_text(log_format: str) -> bool:
    # A service may have been started without any standard error.
    return log_format == "text" or (log_format == "auto" and sys.stderr is not None and sys.stderr.isatty())


class Rarely:
    """Logs a warning, and for some ``seconds`` only counts those that follow: a flood must not fill the log."""

    def __init__(self, logger: logging.Logger, seconds: float = 5.0) -> None:
        self._logger = logger
        self._seconds = seconds
        self._lock = Lock()
        self._silent_until = 0.0
        self._left_out = 0

    def warning(self, text: str, error: Exception | None = None) -> None:
        """Log ``text``, and the trace of ``error`` if there is one."""
        with self._lock:
            if time.monotonic() < self._silent_until:
                self._left_out += 1
                return
            left_out, self._left_out = self._left_out, 0
            self._silent_until = time.monotonic() + self._seconds
        before = f" (and {left_out} times the like before)" if left_out else ""
        self._logger.warning("%s%s", text, before, exc_info=error)
