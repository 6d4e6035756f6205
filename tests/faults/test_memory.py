"""What a long list costs the server that streams it."""

from pathlib import Path

import httpx
import pytest

from bench.lists import FEW, load, peak_memory, stream
from tests.databases import ADMIN, Environment
from tests.faults.extent import extent
from tests.running import running

pytestmark = pytest.mark.alone

MANY = extent(100_000, 300_000)
ALLOWED = 10_000_000


def test_a_streamed_list_leaves_memory_flat(environment: Environment, tmp_path: Path) -> None:
    """Streaming very many names takes the worker at most 10 MB more than streaming 1,000."""
    peaks: list[int] = []
    for count in (FEW, MANY - FEW):
        load(environment, count, start=FEW if peaks else 0)
        with (
            running(environment | {"WORKERS": "1"}, tmp_path) as doorman,
            httpx.Client(auth=ADMIN, timeout=60) as client,
        ):
            stream(client, doorman, count)
            peaks.append(peak_memory(doorman))
    assert peaks[1] - peaks[0] < ALLOWED, peaks
