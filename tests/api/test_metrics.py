"""``/metrics`` of a running service: of several workers, after a death, for whoever asks, and as the pages have it."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from websockets.sync.client import connect

from api.metrics_server import CONNECTIONS, SECONDS, MetricsServer
from tests.api.small_app import until
from tests.databases import ADMIN, ADMIN_TOKEN, SECRET_KEY, Environment
from tests.mongod import free_port
from tests.running import PLAIN, Doorman, run_doorman, running
from tests.tools import program
from tests.workers import Line, lines_to_workers, on_linux

ROOT = Path(__file__).parents[2]
USERS = "/api/v2/users"

Labels = frozenset[tuple[str, str]]

pytestmark = on_linux


class Metered:
    """A service of two workers, and the port that tells its metrics."""

    def __init__(self, doorman: Doorman, port: int) -> None:
        self.doorman = doorman
        self.port = port
        self.url = f"http://127.0.0.1:{port}/metrics"

    def families(self) -> list[Any]:
        return list(parse(httpx.get(self.url, verify=PLAIN).text))

    def samples(self) -> dict[tuple[str, Labels], float]:
        """Return each sample's value, by its name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families()
            for sample in family.samples
        }

    def sum(self, sample: str, **labels: str) -> float:
        """Return the sum of all series of this name with these labels."""
        return sum(
            value for (name, found), value in self.samples().items() if name == sample and labels.items() <= found
        )

    def listening(self) -> str:
        """Return the socket that listens on the port, as a process's descriptors lead to it."""
        place = f":{self.port:04X} 00000000:0000 0A "
        (line,) = [line for line in Path("/proc/net/tcp").read_text().splitlines() if place in line]
        return f"socket:[{line.split()[9]}]"

    @contextmanager
    def line(self, source: str | None = None) -> Iterator[Line]:
        """Have a connection, from an address that no other one comes from unless it is given."""
        with closing(Line(self.doorman.port, source)) as line:
            yield line

    @contextmanager
    def lines(self) -> Iterator[Mapping[int, Line]]:
        """Have a connection to each worker."""
        with ExitStack() as ends:
            lines = lines_to_workers(self.doorman)
            for line in lines.values():
                ends.callback(line.close)
            yield lines


def sockets_of(process: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir() if entry.is_symlink()}


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metered]:
    directory = tmp_path_factory.mktemp("metered")
    port = free_port()
    environment = {
        "BASIC_AUTH_USER": ADMIN[0],
        "BASIC_AUTH_PASSWORD": ADMIN[1],
        "AUTH_TOKEN": ADMIN_TOKEN,
        "SECRET_KEY": SECRET_KEY,
        "BCRYPT_ROUNDS": "4",
        "DATABASE_URL": f"sqlite:///{directory}/doorman.db",
        "WORKERS": "2",
        "METRICS_PORT": str(port),
    }
    with running(environment, directory) as doorman:
        yield Metered(doorman, port)


def test_workers_are_told_as_one_and_a_death_takes_nothing(metered: Metered) -> None:
    """Requests to each of two workers are counted together; one is killed, and nothing is lost, twice or left over.

    Nor does the new worker keep what its parent listens with, which would keep the port from the next service.
    """
    shown = {"method": "GET", "route": "/api/v2/users/<user_name>", "status": "200"}

    def count() -> float:
        return metered.sum("doorman_http_requests_total", **shown)

    def ask_all() -> list[int]:
        with metered.lines() as lines:
            for line in lines.values():
                assert [line.get("root", ADMIN) for _ in range(3)] == [200, 200, 200]
            return list(lines)

    before, starts = count(), metered.sum("doorman_worker_starts_total")
    killed, _ = workers = ask_all()
    assert count() == before + 6
    assert metered.sum("doorman_http_request_seconds_count", route=shown["route"]) == count()
    assert metered.sum("doorman_workers") == 2
    with connect(f"ws://127.0.0.1:{metered.doorman.port}/users/", max_size=None) as one:
        one.send('{"action": "ping"}')
        one.recv()
        assert metered.sum("doorman_websockets_open") == 1
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # so that nobody can say goodbye
        os.kill(killed, signal.SIGKILL)
        for worker in workers:
            if worker != killed:
                os.kill(worker, signal.SIGCONT)
        until(lambda: len(metered.doorman.workers()) == 2 and killed not in metered.doorman.workers(), "a new worker")
    assert count() == before + 6
    until(lambda: metered.sum("doorman_worker_starts_total") == starts + 1, "its start")
    until(lambda: metered.sum("doorman_websockets_open") == 0, "the end of the connection")
    ask_all()
    assert count() == before + 12
    held = metered.listening()
    assert all(held not in sockets_of(worker) for worker in metered.doorman.workers())
    assert held in sockets_of(metered.doorman.process.pid)
    assert metered.sum("doorman_http_requests_in_progress") == 0


def test_what_happens_is_counted(metered: Metered) -> None:
    """Refusals by reason, remembered credentials, hashes, sessions, calls of the store, and messages, each once."""
    watched = {
        "wrong": ("doorman_refusals_total", {"reason": "not_authenticated"}),
        "limited": ("doorman_refusals_total", {"reason": "too_many_attempts"}),
        "denied": ("doorman_refusals_total", {"reason": "access_denied"}),
        "taken": ("doorman_refusals_total", {"reason": "user_exists"}),
        "large": ("doorman_refusals_total", {"reason": "status_413"}),
        "remembered": ("doorman_credentials_total", {"remembered": "yes"}),
        "looked at": ("doorman_credentials_total", {"remembered": "no"}),
        "logins hashed": ("doorman_hashing_seconds_count", {"queue": "logins"}),
        "changes hashed": ("doorman_hashing_seconds_count", {"queue": "changes"}),
        "begun": ("doorman_sessions_begun_total", {"kind": "session"}),
        "accepted": ("doorman_sessions_presented_total", {"kind": "session", "outcome": "accepted"}),
        "refused": ("doorman_sessions_presented_total", {"kind": "session", "outcome": "refused"}),
        "ended": ("doorman_sessions_ended_total", {"kind": "session"}),
        "stored": ("doorman_store_seconds_count", {"operation": "records.put"}),
        "pings": ("doorman_websocket_messages_total", {"action": "ping", "outcome": "done"}),
        "unknown actions": ("doorman_websocket_messages_total", {"action": "other", "outcome": "invalid_frame"}),
        "handshakes": ("doorman_http_requests_total", {"route": "websocket", "status": "101"}),
    }

    def figures() -> dict[str, float]:
        return {name: metered.sum(sample, **labels) for name, (sample, labels) in watched.items()}

    before = figures()
    person = '{"username": "%s", "password": "a fine password"}'
    with connect(f"ws://127.0.0.1:{metered.doorman.port}/users/") as websocket:
        assert websocket.response is not None
        assert len(websocket.response.headers["X-Request-ID"]) == 24
        for action in ("ping", "canary-action"):
            websocket.send(json.dumps({"action": action}))
            websocket.recv()
    body = json.dumps({"password": "a fine password"})
    assert metered.doorman.call("POST", "/joe", content=body).status_code == 200
    assert metered.doorman.call("POST", "/joe", content=body).status_code == 403
    with metered.line() as line:
        session = json.loads(line.ask("POST", "/login.json", body=person % "joe")[1])["id"]
        assert line.ask("POST", f"/logout.json?s={session}")[0] == 200
        assert line.ask("POST", f"/logout.json?s={session}")[0] == 401
        assert line.get("joe", ("joe", "a fine password")) == 200
        assert line.get("root", ("joe", "a fine password")) == 403
    with metered.line() as line:
        assert line.ask("POST", USERS + "/x", body="x" * 70_000)[0] == 413
    with metered.line() as line:
        assert [line.get("root", ("root", guess)) for guess in ("canary-1", "canary-2")] == [401, 429]
    after = figures()
    assert {name: after[name] - before[name] for name in watched} == {
        "wrong": 1,  # the second logout's contract has a body of its own
        "limited": 1,
        "denied": 1,
        "taken": 1,
        "large": 1,
        "remembered": 2,
        "looked at": 4,  # two creates by the admin from new addresses, the login, and the first guess
        "logins hashed": 4,
        "changes hashed": after["changes hashed"] - before["changes hashed"],
        "begun": 1,
        "accepted": 1,
        "refused": 1,
        "ended": 1,
        "stored": 1,
        "pings": 1,
        "unknown actions": 1,
        "handshakes": 1,
    }
    assert after["changes hashed"] > before["changes hashed"]


def test_clients_choose_no_label(metered: Metered) -> None:
    """Paths, user names, methods and actions that clients make up begin no series, and stand nowhere in the metrics."""
    calls = (("GET", "/canary"), ("GET", USERS + "/canary"), ("CANARY", USERS), ("PUT", "/canary"))

    def call_all(numbers: range) -> None:
        with metered.line() as line:
            for number in numbers:
                for method, path in calls:
                    line.ask(method, f"{path}-{number}")

    call_all(range(2))
    series = metered.samples().keys()
    call_all(range(2, 40))
    assert metered.samples().keys() == series
    assert "canary" not in httpx.get(metered.url).text.lower()


def test_figures_do_not_tell_which_names_there_are(metered: Metered) -> None:
    """An unknown name and a wrong password move the same figures."""

    def moved(name: str) -> dict[tuple[str, Labels], float]:
        before = metered.samples()
        with metered.line() as line:
            assert line.get("root", (name, "a wrong password")) == 401
        after = metered.samples()
        return {
            series: value - before.get(series, 0.0)
            for series, value in after.items()
            if value != before.get(series) and not series[0].endswith(("_seconds_sum", "_seconds_bucket", "_bytes"))
        }

    moved("nobody")  # what a process asks once a minute is asked now
    moved("nobody")
    assert {*moved("nobody").items()} == {*moved("root").items()} != set()


def test_both_formats_are_what_they_say(metered: Metered) -> None:
    """The text format by default, OpenMetrics when it is asked for; both are read by the client library's parsers."""
    text = httpx.get(metered.url)
    assert text.headers["Content-Type"].startswith("text/plain; version=")
    openmetrics = httpx.get(metered.url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    families = parse_openmetrics(openmetrics.text)  # type: ignore[no-untyped-call]  # the library does not annotate it
    assert {family.name for family in families} == {family.name.removesuffix("_info") for family in parse(text.text)}


def test_promtool_finds_nothing_wrong(metered: Metered) -> None:
    """Prometheus's own tool passes the metrics, by its rules for names and help too, and the alerts of the docs."""
    promtool = program("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=httpx.get(metered.url).text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    subprocess.run([promtool, "check", "rules", ROOT / "docs" / "alerts.yml"], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/x HTTP/1.1", 404),
        (b"GET /metrics?x=y HTTP/1.0", 200),
        (b"HEAD /metrics HTTP/1.1", 200),
        (b"POST /metrics HTTP/1.1", 405),
        (b"GET /metrics HTTP/2", 400),
        (b"GET /metrics", 400),
        (b"\xff\x00", 400),
    ],
)
def test_nothing_else_is_there(metered: Metered, request_line: bytes, status: int) -> None:
    """Any other request is refused, and the connection ends with the answer."""
    with socket.create_connection(("127.0.0.1", metered.port), SECONDS) as client:
        client.sendall(request_line + b"\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b"# HELP" in answer) == (status == 200 and not request_line.startswith(b"HEAD"))


def test_what_cannot_be_told_is_said_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A defect answers 500, ends no task unseen, and is in the log once with its trace, however often it is met."""

    def fail(_: str) -> tuple[str, bytes]:
        raise RuntimeError("a defect")

    server = MetricsServer("127.0.0.1", 0, fail)

    async def ask(head: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            theirs.setblocking(False)  # noqa: FBT003 - its only parameter
            ours.sendall(head)
            await server._exchange(asyncio.get_running_loop(), theirs)
            return ours.recv(4096)

    for _ in range(3):
        assert asyncio.run(ask(b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 500 ")
    [record] = caplog.records
    assert record.exc_info is not None
    assert "a defect" in caplog.text
    server._let_go()


def test_slow_clients_do_not_hold_it(metered: Metered) -> None:
    """As many as may come hold it for some seconds at most, sending or not; meanwhile the service is as ever."""
    clients = [socket.create_connection(("127.0.0.1", metered.port), 4 * SECONDS) for _ in range(CONNECTIONS)]
    for client in clients:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
    with pytest.raises(httpx.TransportError):
        httpx.get(metered.url)
    assert metered.doorman.answers("/healthz/live") == 200
    clients[0].sendall(b"x\r\n\r\n")
    assert clients[0].recv(65_536).startswith(b"HTTP/1.1 200")
    clients[0].close()
    assert [client.recv(1) for client in clients[1:]] == [b""] * (CONNECTIONS - 1)
    for client in clients:
        client.close()
    assert metered.families()


def test_the_page_and_the_dashboard_name_what_there_is(metered: Metered) -> None:
    """The page's table has each metric with its labels; the dashboard and the alerts ask for no other ones."""
    told = {
        sample.name.removesuffix("_count"): frozenset(sample.labels)
        for family in metered.families()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum"))
    }
    page = (ROOT / "docs" / "observability.md").read_text()
    rows = re.findall(r"^\| `(doorman_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    documented = {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    # What has not happened has no series; the list of metrics in the code has no more than these.
    assert told.items() <= documented.items()
    families = {family.name for family in metered.families()}
    assert {name.removesuffix("_total") for name in documented} == families

    dashboard = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 20
    asked += re.findall(r"(?:expr: |^ {10})(.*doorman_.*)$", (ROOT / "docs" / "alerts.yml").read_text(), re.MULTILINE)
    for expression in asked:
        names = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"doorman_\w+", expression)}
        assert names <= documented.keys(), expression
        labels = {"le", "instance"}.union(*(documented[name] for name in names))
        matched = re.findall(r"(\w+)(?:=~|!=|=)\"", expression) + re.findall(
            r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))
        )
        assert set(matched) <= labels, expression


def test_every_panel_can_be_read(metered: Metered) -> None:
    """promtool, which reads expressions as Prometheus does, takes each one of the dashboard."""
    promtool = program("promtool")
    dashboard = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, expression in enumerate(asked)
    ]
    written = json.dumps({"groups": [{"name": "panels", "rules": rules}]})  # JSON is YAML
    metered.doorman._log.with_name("rules.yml").write_text(written)
    path = metered.doorman._log.with_name("rules.yml")
    subprocess.run([promtool, "check", "rules", "--lint=none", path], capture_output=True, check=True)


def test_there_is_none_unless_it_is_asked_for(sqlite_environment: Environment, tmp_path: Path) -> None:
    """Without ``METRICS_PORT`` nothing listens beside the service, and the service itself has no such route."""
    with running(sqlite_environment, tmp_path) as doorman:
        assert doorman.answers("/metrics") == 404
        assert "metrics" not in doorman.log.lower()


def test_a_taken_port_is_said(sqlite_environment: Environment, metered: Metered, tmp_path: Path) -> None:
    """A service whose metrics find their port taken does not start, names the settings, and has made nothing."""
    taken = sqlite_environment | {"PORT": str(free_port()), "METRICS_PORT": str(metered.port)}
    done = run_doorman("serve", environment=taken, cwd=tmp_path)
    assert done.returncode == 1
    assert f"METRICS_HOST=127.0.0.1, METRICS_PORT={metered.port}: Address already in use." in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("doorman.db*"))
