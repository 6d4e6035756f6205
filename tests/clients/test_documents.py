"""The examples in Python that the documents print, run as they are printed."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.databases import Environment
from tests.running import Doorman

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
