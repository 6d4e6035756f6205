"""Where log lines go. No line holds a password, a token, an Authorization header or a query string."""

import logging

from api.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send log lines to standard error, unless whoever runs this process has decided otherwise already."""
    logging.basicConfig(level=settings.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("pymongo").setLevel(logging.WARNING)  # at debug level it logs whole commands
