"""The ``fetch()`` calls of the document of ``/createuser.json``, ``/login.json`` and ``/logout.json``, in Node."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.nodejs import HERE, run_node
from tests.databases import Environment
from tests.running import Doorman


def test_the_documents_calls_run_as_printed(
    environment: Environment, serve: Callable[[Environment], Doorman], tmp_path: Path
) -> None:
    """They make joe, log him in, and log him out when the id is his session's: as it is printed, it is nobody's."""
    doorman = serve(environment)

    def fetch(name: str, session_id: str = "sipibxelb9gwf0y") -> Any:
        printed = (HERE / "classic" / f"{name}.js").read_text()
        script = tmp_path / f"{name}.mjs"
        told = "\nconsole.log(JSON.stringify([response.status, await response.json()]));\n"
        script.write_text(printed.replace("%URL%", doorman.url).replace("sipibxelb9gwf0y", session_id) + told)
        return run_node(script)

    status, made = fetch("createuser")
    assert (status, made["username"], made["hash"][:4]) == (200, "joe", "$2b$")
    assert fetch("createuser") == [409, {"error": "User already exists"}]
    status, session = fetch("login")
    assert (status, session["username"]) == (200, "joe")
    assert fetch("logout") == [401, {"error": "No session"}]
    assert fetch("logout", session["id"]) == [200, {"success": True}]
    assert fetch("logout", session["id"]) == [401, {"error": "No session"}]
