"""The Postman collection of the repository, run by newman against a real Doorman."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from postman.__main__ import COLLECTION, ENVIRONMENT, text_of
from postman.collection import collection
from postman.collection import environment as postman_environment
from tests.api.described import description
from tests.clients.nodejs import HERE, SECONDS, installed_node
from tests.databases import ADMIN, Environment
from tests.running import Doorman

NEWMAN = HERE / "node_modules" / "newman" / "bin" / "newman.js"


def test_the_collection_is_of_the_document() -> None:
    """What is committed is what is made from the document of today, which has a request for each operation."""
    made = text_of(collection(description().document))
    assert COLLECTION.read_text("utf-8") == made, "the document has changed: run make generated"
    assert ENVIRONMENT.read_text("utf-8") == text_of(postman_environment())
    values = {value["key"]: (value["value"], value["type"]) for value in postman_environment()["values"]}
    assert values["password"] == ("", "secret")


def test_newman_runs_it(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> None:
    """Every check of every request passes, in order, as a user would run them; and the users that it made are gone."""
    doorman, report = serve(sqlite_environment), tmp_path / "report.json"
    given = {"baseUrl": doorman.url, "user": ADMIN[0], "password": ADMIN[1]}
    variables = [part for name, value in given.items() for part in ("--env-var", f"{name}={value}")]
    command: list[str | Path] = [installed_node(), NEWMAN, "run", COLLECTION, "--environment", ENVIRONMENT, *variables]
    done = subprocess.run(
        [*command, "--reporters", "json,cli", "--reporter-json-export", report],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    run = json.loads(report.read_text())["run"]
    assert run["stats"]["requests"]["total"] == len(run["executions"]) > 50
    assert all(len(execution["assertions"]) == 2 for execution in run["executions"])
    assert doorman.call("GET").json() == {"users": ["root"]}
    assert doorman.call("GET", "?oauth=1").json() == {"users": []}
