"""Fixtures for every test."""

import pytest

pytest_plugins = [
    "tests.mongod",
    "tests.replica_set",
    "tests.databases",
    "tests.running",
    "tests.websocket_clients",
    "tests.bcrypt_costs",
    "tests.api.cores",
    "tests.api.issuers",
    "tests.clients.chromium",
    "tests.faults.report",
]

_UNMEASURED = {"clients", "faults"}


@pytest.fixture(autouse=True)
def _servers_without_coverage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no coverage in the processes of these: others run the same lines, and it takes a third of the time."""
    if request.path.parent.name in _UNMEASURED:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
