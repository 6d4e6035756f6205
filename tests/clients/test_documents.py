"""The examples that the documents print, run as they are printed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.databases import Environment
from tests.running import DOORMAN, Doorman, clean_environment

DOCUMENTS = Path(__file__).parents[2] / "docs"
PATIENCE = 20.0


def run_example(document: str, doorman: Doorman) -> list[str]:
    """Run the one example of a document; return the lines that it prints."""
    (example,) = re.findall(r"```python\n(.*?)```", (DOCUMENTS / document).read_text(), re.DOTALL)
    script = example.replace("127.0.0.1:5000", f"127.0.0.1:{doorman.port}")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_examples_in_python_work(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> None:
    """Over the WebSocket: an account, a token, oneself, and the end of it. By HTTP: a token that is verified."""
    doorman = serve(sqlite_environment)
    answers = run_example("websocket.md", doorman)
    assert [answer.partition(",")[0] for answer in answers] == [
        "{'action': 'new'",
        "{'action': 'login'",
        "{'action': 'me'",
        "{'action': 'logout'",
    ]
    assert not any("error" in answer for answer in answers)
    assert run_example("tokens.md", doorman) == ["noob"]


def test_the_example_of_an_import_works(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> None:
    """Its users are brought in beside a Doorman that serves, log in with the passwords there, and go out again."""
    doorman = serve(sqlite_environment)
    page = (DOCUMENTS / "moving-users.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "users.jsonl").write_text(example)
    commands = [shlex.split(line) for line in re.findall(r"^\$ (\S+/doorman .*)$", page, re.MULTILINE)]
    assert [command[:2] for command in commands[:2]] == [[".venv/bin/doorman", name] for name in ("import", "export")]
    for _, *arguments in commands:
        subprocess.run(
            [DOORMAN, *arguments],
            env=clean_environment() | sqlite_environment,
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
    (ann,) = re.findall(r"Ann's password is `(.*?)`", page)
    (bob,) = re.findall(r'"password": "(.*?)"', example)
    for credentials in (("ann", ann), ("bob", bob)):
        assert httpx.get(f"{doorman.url}/api/v2/users/{credentials[0]}", auth=credentials).status_code == 200
    assert re.findall("ann|bob", (tmp_path / "users.csv").read_text())
    # Each command is where a checkout has it: none is on the PATH.
    assert not re.findall(r"(?m)^\$ doorman |`doorman \w+ \S", page)
