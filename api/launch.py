"""What the server tells the application as it starts it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from models.meter import UNMETERED, Meter


@dataclass(frozen=True, slots=True)
class Launch:
    """When the service began, which is before a worker that replaces another one did; and who takes its figures."""

    meter: Meter = UNMETERED
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
