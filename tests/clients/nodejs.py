"""Node, and the packages that ``package.json`` names, as npm has installed them beside it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.tools import missing, program

HERE = Path(__file__).parent
SECONDS = 60.0


def installed_node() -> Path:
    """Return the program that runs the scripts, once their packages are there."""
    node = program("node")
    if not (HERE / "node_modules" / ".made").exists():
        missing("what tests/clients/package.json names is not installed (make test does it)")
    return node


def run_node(script: Path, *arguments: str, **environment: str) -> Any:
    """Run a script, and return the JSON that the last line of its output is."""
    done = subprocess.run(
        [installed_node(), script, *arguments],
        env=os.environ | environment,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
