"""What the store keeps for a time only: sessions, issued tokens, nonces, counters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One expiring record, found by ``(kind, id)``.

    ``id`` is a digest where the original is a secret. ``user_id`` and ``epoch`` bind it to a user's state at the
    time of issue; deleting the user deletes the record. ``data`` holds JSON values.
    """

    kind: str
    id: str
    expires_at: datetime  # UTC; from this moment on the record is not there, whether or not it was purged
    user_id: str | None = None
    epoch: int = 0
    data: Mapping[str, object] = field(default_factory=dict)
