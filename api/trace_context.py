"""W3C Trace Context (https://www.w3.org/TR/trace-context/): whose work a request is a part of."""

import os
import re
from dataclasses import dataclass

# Version 00 has exactly these fields; a later one may have more, each after a dash (section 3.2.4 and 3.3).
_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
_NEVER = "ff"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that goes on here, in a span of its own."""

    trace_id: str  # 32 hex digits
    parent_id: str  # 16 hex digits: the caller's span
    span_id: str  # 16 hex digits: this one

    def fields(self) -> dict[str, str]:
        """Return what log lines say of it."""
        return {"trace_id": self.trace_id, "parent_id": self.parent_id, "span_id": self.span_id}


def continued(traceparent: str) -> Trace | None:
    """Return the trace that the header names; ``None`` for one that is to be taken as not there."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, parent_id, _, more = found.groups()
    if version == _NEVER or (version == "00" and more is not None):
        return None
    if not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return Trace(trace_id, parent_id, os.urandom(8).hex())
