"""What docs/operations.md tells an operator to do, done as it stands there."""

import re
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from tests.api.conftest import PASSWORD, Api
from tests.api.small_app import until
from tests.certificates import make_certificate
from tests.databases import ADMIN, ADMIN_TOKEN, Environment
from tests.running import Doorman, running
from tests.tools import program
from tests.workers import on_linux

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
NEW_KEY = "another key, of more than thirty-two bytes"
PATIENCE = 30.0

MakeApi = Callable[[Environment], Api]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


# SQLite's copy.


class Writer:
    """Creates users, one after the other, and notes those that were acknowledged."""

    def __init__(self, doorman: Doorman) -> None:
        self._doorman = doorman
        self._stopped = Event()
        self._thread = Thread(target=self._run)
        self.created: list[str] = []
        self._thread.start()

    def await_more(self) -> list[str]:
        """Return all that were acknowledged, once there are a few that were not before."""
        wanted = len(self.created) + 5
        deadline = time.monotonic() + PATIENCE
        while len(self.created) < wanted:
            assert time.monotonic() < deadline
            self._thread.join(0.01)
        return list(self.created)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            name = f"user{len(self.created)}"
            assert self._doorman.call("POST", f"/{name}", json={"password": PASSWORD}).status_code == 200
            self.created.append(name)


def run_script(script: str, directory: Path) -> None:
    subprocess.run(["sh", "-e", "-c", script], cwd=directory, check=True, capture_output=True, timeout=PATIENCE)


def test_a_copy_of_a_live_sqlite_server_is_restored(tmp_path: Path) -> None:
    """A copy made between writes has every user from before it, with its key; restored after a crash, it serves."""
    program("sqlite3")
    copy, restore = blocks("sh")
    # No other settings: the database and its key are made where the page has them.
    settings = {"BASIC_AUTH_USER": ADMIN[0], "BASIC_AUTH_PASSWORD": ADMIN[1], "AUTH_TOKEN": ADMIN_TOKEN}
    settings["BCRYPT_ROUNDS"] = "4"
    with running(settings, tmp_path) as doorman:
        writer = Writer(doorman)
        try:
            before = writer.await_more()
            run_script(copy, tmp_path)
            writer.await_more()
        finally:
            writer.stop()
        assert {path.name for path in (tmp_path / "backup").iterdir()} == {"doorman.db", "doorman.db.secret-key"}
        assert not [path for path in (tmp_path / "backup").iterdir() if path.stat().st_mode & 0o077]
        doorman.kill()
    # What the crash left is in the way: a log that belongs to another file, and a key of nobody's.
    assert (tmp_path / "data/doorman.db-wal").exists()
    (tmp_path / "data/doorman.db.secret-key").write_text("of another installation, and long enough\n")
    run_script(restore, tmp_path)
    with running(settings, tmp_path) as doorman:
        listed = doorman.call("GET", auth=None, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).json()["users"]
        assert set(before) <= set(listed) < {*writer.created, ADMIN[0]}
        assert doorman.call("GET", f"/{before[-1]}", auth=(before[-1], PASSWORD)).status_code == 200


# The secret key.


def steps(environment: Environment) -> list[Environment]:
    """Return the settings of each step in the page's table."""
    keys = {"old": environment["SECRET_KEY"], "new": NEW_KEY, "": ""}
    rows = re.findall(r"^\| \d \| (\w*) \| (\w*) ?\|", PAGE, re.MULTILINE)
    return [environment | {"SECRET_KEY": keys[one], "SECRET_KEY_PREVIOUS": keys[other]} for one, other in rows]


def token_of(api: Api, name: str) -> str:
    """Log a user in, and return its JSON Web Token."""
    answer = api.ask("/users/login", {"user": {"username": name, "password": PASSWORD}})
    token: str = answer.get_json()["user"]["token"]
    return token


def is_known(api: Api, token: str) -> bool:
    """Tell whether the token, an admin's, gets as far as to be told of its body."""
    status = api.ask("/users/noob", {}, headers={"Authorization": f"Bearer {token}"}).status_code
    assert status in {401, 422}, status
    return status == 422


def test_the_secret_key_is_rotated_by_the_steps(environment: Environment, make_api: MakeApi) -> None:
    """While replicas are restarted one by one, all know what any began; at last only what is older than step 2 ends."""
    replica = make_api(environment)
    replica.add("joe", "admin", token="a-token-of-joes-own")
    begun = [token_of(replica, "joe")]
    both_steps, last = steps(environment)[:2], steps(environment)[2:]
    for step in both_steps:
        restarted = make_api(step)
        # The other replica still runs with the settings of the step before.
        begun += [token_of(replica, "joe"), token_of(restarted, "joe")]
        for api in (replica, restarted):
            assert api.get("/joe", "a-token-of-joes-own").status_code == 200
            assert all(is_known(api, token) for token in begun)
        replica = restarted
    [finished] = [make_api(step) for step in last]
    assert finished.get("/joe", "a-token-of-joes-own").status_code == 200
    assert [is_known(finished, token) for token in begun] == [False, False, False, False, True]


def test_a_known_secret_key_is_replaced_at_once(environment: Environment, make_api: MakeApi) -> None:
    """Started once with both keys, and then with the new one alone, Doorman knows passwords and no token."""
    before = make_api(environment)
    before.add("joe", "admin", token="a-token-of-joes-own")
    token = token_of(before, "joe")
    assert is_known(before, token)
    assert is_known(before, "a-token-of-joes-own")
    before.core.close()
    changed = environment | {"SECRET_KEY": NEW_KEY}
    make_api(changed | {"SECRET_KEY_PREVIOUS": environment["SECRET_KEY"]}).core.close()
    after = make_api(changed)
    assert not is_known(after, token)
    assert not is_known(after, "a-token-of-joes-own")
    assert after.get("/joe", ("joe", PASSWORD)).status_code == 200
    assert is_known(after, token_of(after, "joe"))


# Certificates.


@on_linux
def test_a_renewed_certificate_is_taken_up(sqlite_environment: Environment, tmp_path: Path) -> None:
    """After SIGHUP the workers that come have the new certificate; the service goes on, and stops in order."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    settings = {"TLS_CERT": str(certificate), "TLS_KEY": str(key)}
    doorman = Doorman(sqlite_environment | settings, tmp_path)
    doorman.url = doorman.url.replace("http:", "https:")
    try:
        doorman.await_ready(verify=ssl.create_default_context(cafile=certificate))
        place = ("127.0.0.1", doorman.port)
        former = ssl.get_server_certificate(place)
        make_certificate(certificate, key)
        assert ssl.get_server_certificate(place) == former
        [worker] = doorman.workers()
        doorman.process.send_signal(signal.SIGHUP)
        until(lambda: worker not in doorman.workers(), "the former worker to leave")
        doorman.await_ready(verify=ssl.create_default_context(cafile=certificate))
        assert doorman.stop() == 0
    finally:
        doorman.kill()


# What the page quotes.


def test_the_figures_of_the_sizing_are_printed() -> None:
    """Each command that the page has for figures finds some in bench/results.md."""
    commands = re.findall(r"^    (.* bench/results\.md)$", PAGE, re.MULTILINE)
    assert len(commands) > 1
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
        assert re.search(r"\| [\d.,]+ ", done.stdout), command


def test_log_lines_are_what_is_logged() -> None:
    """Each line that the page tells to look out for is one that the code writes."""
    table = PAGE.partition("| In the log |")[2].partition("\n\n")[0]
    quoted = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(quoted) > 5
    # Texts are broken into several literals, and one line is put together by the format of the log.
    code = "".join(path.read_text() for top in ("api", "models") for path in sorted((ROOT / top).rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    for line in quoted:
        assert line.removeprefix("INFO api.cli: ") in code, line
