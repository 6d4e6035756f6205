"""Fixtures for every test."""

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
