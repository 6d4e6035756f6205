"""Schemathesis: what it makes of the OpenAPI document, sent to all that is in it, with and without credentials."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import pytest

from tests.databases import Environment
from tests.faults.extent import extent
from tests.faults.openapi_contracts import configuration
from tests.running import Doorman

_ROOT = Path(__file__).parents[2]
_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Its own phases: what the document's examples are, what is at the bounds of its schemas, what is anywhere, and chains
# of requests, each made of what the last one has answered.
PHASES = extent("examples,fuzzing", "examples,coverage,fuzzing,stateful")
EXAMPLES = extent(1, 25)
MOST_SECONDS = extent(60, 1200)
CALLERS = extent(["admin"], ["", "noob", "manager", "admin"])
# To have a run again, name its seed.
SEED = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(1 << 32))


@pytest.mark.timeout(MOST_SECONDS + 60)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller or "nobody")
def test_what_the_document_says_is_so(
    caller: str,
    sqlite_environment: Environment,
    serve: Callable[[Environment], Doorman],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Good and bad requests of every operation are answered as documented, by all of Schemathesis's checks."""
    environment = sqlite_environment | {"TRUSTED_PROXIES": "127.0.0.0/8"}
    doorman = serve(environment)
    (tmp_path / "schemathesis.toml").write_text(configuration())
    told = tmp_path / "told.json"
    run = subprocess.run(
        [
            _SCHEMATHESIS,
            *("--config-file", "schemathesis.toml", "run", f"{doorman.url}/api/v2/openapi.json"),
            *("--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
            *("--max-response-time", "2", "--warnings", "off", "--no-color"),
            *("--report", "json", "--report-json-path", told),
        ],
        env=os.environ
        | environment
        | {"CALLER": caller, "PYTHONPATH": str(_ROOT), "SCHEMATHESIS_HOOKS": "tests.faults.openapi_hooks"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Traceback" not in doorman.log
    cases = json.loads(told.read_text())["test_cases"]
    record_property("cases", cases["generated"])
    record_property("failures", cases["with_failures"])
    record_property("seed", SEED)
