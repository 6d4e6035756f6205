"""Times as people and programs write them (RFC 3339)."""

import re
from datetime import UTC, datetime

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}))?")
MOMENT_RULE = "It must be a date like 2026-01-31, or a time like 2026-01-31T12:00:00Z (RFC 3339)."


def read_moment(text: str) -> datetime | None:
    """Return the time that is written, of a date its beginning in UTC; nothing for what is none.

    A "+" that was not encoded in a query has become a space.
    """
    text = text.replace(" ", "+")
    try:
        moment = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
