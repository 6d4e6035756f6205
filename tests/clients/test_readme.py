"""The README's sessions, typed as they are printed, with curl."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import Environment
from tests.running import Doorman

README = Path(__file__).parents[2] / "README.md"


def sessions() -> list[list[tuple[str, str]]]:
    """Return each console block's commands, each with the answer that is printed under it."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    steps = [re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE) for block in blocks]
    return [[(command, answer.rstrip("\n")) for command, answer in some] for some in steps]


@pytest.mark.parametrize(("number", "length"), [(0, 8), (1, 4), (2, 3)])
def test_each_session_runs_as_printed(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], number: int, length: int
) -> None:
    """Each command answers what the README shows; an ellipsis stands for what differs from time to time."""
    doorman = serve(sqlite_environment | {"BASIC_AUTH_USER": "admin", "BCRYPT_ROUNDS": "12"})
    (setup, _), *steps = sessions()[number]
    setup = setup.replace("admin:…", f"admin:{sqlite_environment['BASIC_AUTH_PASSWORD']}")
    setup = setup.replace("http://127.0.0.1:5000", doorman.url)
    assert len(steps) == length
    for command, answer in steps:
        done = subprocess.run(
            ["bash", "-c", f"{setup}\n{command.replace('curl', 'curl -sS', 1)}"],
            capture_output=True,
            text=True,
            check=True,
        )
        pattern = ".+?".join(re.escape(part) for part in answer.split("…"))
        assert re.fullmatch(pattern, done.stdout.strip()), (command, done.stdout)
