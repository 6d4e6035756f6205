"""Events that are put into stores."""

from datetime import datetime
from typing import Any

from models.events import Event, Kind, Party, event_ids
from tests.storage.stores import NOW

ROOT = Party("0" * 24, "Root", "root")


def make_event(at: datetime = NOW, **changes: Any) -> Event:
    """Make an event of a moment: root has made ann."""
    values: dict[str, Any] = {
        "id": next(iter(event_ids(at))),
        "kind": Kind.USER_CREATED,
        "actor": ROOT,
        "subject": Party("1" * 24, "Ann", "ann", 1),
        "address": "192.0.2.1",
        "request_id": "a request",
        "surface": "v2",
        "details": {"user_group": "noob", "fields": ["a", "b"], "count": 2, "none": None, "is": True},
    }
    return Event(**(values | changes))
