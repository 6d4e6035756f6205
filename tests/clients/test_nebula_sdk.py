"""NebulaPythonSDK 2.8.0, unmodified, as it comes from PyPI."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import pytest
from NebulaPythonSDK import Nebula

from tests.databases import ADMIN, ADMIN_TOKEN, Environment
from tests.running import Doorman

Serve = Callable[[Environment], Doorman]


@pytest.fixture
def doorman(environment: Environment, serve: Serve) -> Doorman:
    return serve(environment)


def test_its_own_user_tests_pass(doorman: Doorman) -> None:
    """``test_list_users`` and ``test_user_workflow``, from the wheel, pass as they are."""
    shipped = next(
        Path(str(file.locate())) for file in files("NebulaPythonSDK") or [] if file.name == "test_nebula_python_sdk.py"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--import-mode=importlib", str(shipped), "-k", "test_list_users or test_user_workflow"),
        ],
        env=os.environ
        | {"NEBULA_TEST_USERNAME": ADMIN[0], "NEBULA_TEST_PASSWORD": ADMIN[1], "NEBULA_TEST_PORT": str(doorman.port)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("credential", [{"username": ADMIN[0], "password": ADMIN[1]}, {"token": ADMIN_TOKEN}])
def test_its_six_user_calls(doorman: Doorman, credential: dict[str, str]) -> None:
    """Creating, listing, reading, updating, refreshing and deleting work by Basic and by Bearer."""
    nebula = Nebula(port=doorman.port, **credential)
    created = nebula.create_user("test123", {"password": "a fine password", "token": "a-fine-token-of-mine"})
    assert (created["status_code"], created["reply"]["user_name"]) == (200, "test123")
    assert nebula.list_users() == {"status_code": 200, "reply": {"users": ["root", "test123"]}}
    assert nebula.list_user("test123") == created
    updated = nebula.update_user("test123", {"password": "another password"})
    assert (updated["status_code"], updated["reply"]["token"]) == (200, created["reply"]["token"])
    token = nebula.refresh_user_token("test123")["reply"]["token"]
    assert Nebula(port=doorman.port, token=token).list_user("test123")["status_code"] == 200
    assert nebula.create_user("test123", {"password": "a fine password"}) == {
        "status_code": 403,
        "reply": {"user_exists": True},
    }
    assert nebula.delete_user("test123") == {"status_code": 200, "reply": {}}
    assert nebula.delete_user("test123") == {"status_code": 403, "reply": {"user_exists": False}}
