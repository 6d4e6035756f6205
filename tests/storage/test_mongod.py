"""The mongod of the tests itself."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.mongod import mongod_program

ROOT = Path(__file__).parents[2]

STARTER = """
import sys
from pathlib import Path
from tests.mongod import Mongod

server = Mongod(Path(sys.argv[1]), Path(sys.argv[2]))
server.start()
print(server._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a process with its parent")
def test_mongod_ends_with_its_parent(tmp_path: Path) -> None:
    """A test run that is killed leaves no server behind."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(mongod_program()), str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        server = os.pidfd_open(int(starter.stdout.readline()))
        try:
            assert not select.select([server], [], [], 0)[0], "it runs"
            starter.kill()
            assert select.select([server], [], [], 10)[0], "it has ended"
        finally:
            os.close(server)
    assert starter.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("under_ci", "end"), [("", Skipped), ("true", Failed)])
def test_without_mongod_a_test_is_skipped_and_fails_under_ci(
    monkeypatch: pytest.MonkeyPatch, under_ci: str, end: type[BaseException]
) -> None:
    """The reason says what to set or to install."""
    monkeypatch.setenv("CI", under_ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("MONGOD", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(end, match="install the development extra"):
        mongod_program()
