"""The audit trail in a flood of failed logins: few rows, nothing that was typed, and every failure counted."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from api.settings import Settings
from app import open_store
from models.events import Sought
from models.login_failures import MOST_ADDRESSES, MOST_NETWORKS
from tests.api.conftest import authorization
from tests.databases import Environment, dump
from tests.faults.extent import extent
from tests.running import Doorman
from tests.workers import on_linux

pytestmark = on_linux

ADDRESSES = extent(500, 20_000)
CLIENTS, WORKERS = 4, 2
TYPED = "hunter2-typed-as-a-name"
ROWS_A_MINUTE = MOST_ADDRESSES + MOST_NETWORKS + 1  # of one worker, and kind


@pytest.mark.timeout(900)
def test_a_flood_from_many_addresses_leaves_few_rows(
    environment: Environment,
    serve: Callable[[Environment], Doorman],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Failures at as many addresses are all counted when the server stops, in some hundred rows a minute at most."""
    doorman = serve(environment | {"WORKERS": str(WORKERS), "TRUSTED_PROXIES": "127.0.0.0/8"})

    def flood(client: int) -> int:
        refused = 0
        with closing(HTTPConnection("127.0.0.1", doorman.port)) as connection:
            for number in range(client, ADDRESSES, CLIENTS):
                # A password takes its time, and a token that nobody has takes none.
                typed = f"{TYPED}-{number}"
                wrong = (typed, "a wrong one") if number % 10 == 0 else typed
                address = str(IPv4Address("11.0.0.0") + number * 257)
                headers = {"Authorization": authorization(wrong), "X-Forwarded-For": address}
                connection.request("GET", "/api/v2/users", headers=headers)
                answer = connection.getresponse()
                answer.read()
                refused += answer.status == 401
        return refused

    began = time.time()
    with ThreadPoolExecutor(CLIENTS) as clients:
        refused = sum(clients.map(flood, range(CLIENTS)))
    assert doorman.stop() == 0
    minutes = int(time.time() // 60) - int(began // 60) + 1
    with closing(open_store(Settings.from_env(environment))) as store:
        store.prepare()
        events = store.audit.find(Sought([["kind authn_login_fail"]]), limit=1_000_000)
    assert sum(count for event in events if isinstance(count := event.details["count"], int)) == refused
    assert len(events) <= ROWS_A_MINUTE * WORKERS * minutes
    assert TYPED.encode() not in dump(environment, tmp_path)
    record_property("addresses", ADDRESSES)
    record_property("failures counted", refused)
    record_property("rows in a minute", round(len(events) / minutes))
