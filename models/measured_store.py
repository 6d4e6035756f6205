"""A store whose calls are timed."""

import time
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, cast

from models.errors import DoormanError, UnavailableError
from models.meter import STORE_FAILED, STORE_TIME, Meter
from models.storage import Audit, Counters, Records, Store


def measured(store: Store, meter: Meter) -> Store:
    """Return the store with a clock at each of its calls."""
    whole = _Measured(Store, store, "", meter)
    whole.records = _Measured(Records, store.records, "records.", meter)
    whole.counters = _Measured(Counters, store.counters, "counters.", meter)
    whole.audit = _Measured(Audit, store.audit, "audit.", meter)
    return cast("Store", whole)


class _Measured:
    """What a protocol has of calls, each under its name with ``prefix`` before it; anything else is the part's own."""

    records: object
    counters: object
    audit: object

    def __init__(self, protocol: type, part: object, prefix: str, meter: Meter) -> None:
        self._part = part
        for name, member in vars(protocol).items():
            if isinstance(member, FunctionType) and not name.startswith("_"):
                setattr(self, name, _timed(getattr(part, name), prefix + name, meter))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def _timed(call: Callable[..., Any], operation: str, meter: Meter) -> Callable[..., Any]:
    @wraps(call)
    def timed(*values: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            result = call(*values, **named)
        except DoormanError as error:
            meter.observe(STORE_TIME, time.perf_counter() - began, operation)
            if isinstance(error, UnavailableError):
                meter.count(STORE_FAILED, operation)
            raise
        # What is raised beside these is a defect, or WouldWaitError, which means that nothing was called.
        meter.observe(STORE_TIME, time.perf_counter() - began, operation)
        return result

    return timed
