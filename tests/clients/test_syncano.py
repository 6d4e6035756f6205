"""@syncano/client and @syncano/core 0.15.0, unmodified, as they come from npm; they speak TLS, so a front does too."""

import json
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.front import Front, fronted
from tests.clients.nodejs import HERE, run_node
from tests.databases import ADMIN_TOKEN, Environment
from tests.running import Doorman

SCRIPTS = HERE / "syncano"
SHOWN = {"id", "username", "created_at", "updated_at", "groups"}
JOHN = {"username": "john@email.com", "password": "superpass123"}

Run = Callable[..., Any]


@pytest.fixture
def doorman(environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    return serve(environment | {"TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "debug"})


@pytest.fixture
def front(doorman: Doorman, tmp_path: Path) -> Iterator[Front]:
    with fronted(doorman, tmp_path / "front") as front:
        yield front


@pytest.fixture
def run(front: Front) -> Run:
    return partial(run_node, SYNCANO_HOST=front.host, NODE_EXTRA_CA_CERTS=str(front.certificate))


def test_the_client_uses_the_socket(run: Run, front: Front, doorman: Doorman) -> None:
    """It registers, sends its key, twice, and logs in, updates and deletes; no key of its gets into a log."""
    done = run(SCRIPTS / "client.mjs", front.host)
    registered = done["registered"]
    user_id, key = registered["id"], registered["token"]
    assert registered == {"id": user_id, "username": JOHN["username"], "token": key}
    assert done["twice"] == {"status": 400, "data": {"username": "User already exists."}}
    unauthorised = {"status": 401, "data": "Unauthorised"}
    assert [done[name] for name in ("anonymous", "revoked", "gone")] == [unauthorised] * 3
    assert done["address"].endswith(f"user-auth/update/?user_key={key}")
    assert done["updated"] == done["changed"] == {"msg": f"User with ID {user_id} has been updated!"}
    assert (done["loggedIn"]["id"], done["loggedIn"]["username"]) == (user_id, "jim@email.com")
    assert done["wrong"] == {"status": 400, "data": {"message": "Given credentials are invalid."}}
    assert done["deleted"] == {"msg": f"User with ID {user_id} has been deleted!"}
    assert "user-auth" in doorman.log, "the log is not at debug level"
    for secret in (key, done["loggedIn"]["token"], "user_key", "superpass123"):
        assert secret not in doorman.log


def test_the_server_library_manages_users(run: Run, doorman: Doorman) -> None:
    """It creates, finds, lists over pages, updates, logs in and deletes, and tells its own errors by our answers."""
    others = [f"member{number:03}" for number in range(105)]  # more than a page
    for name in others:
        assert doorman.call("POST", f"/{name}", json={"password": "superpass123"}).status_code == 200
    done = run(SCRIPTS / "core.mjs", ADMIN_TOKEN)
    created = done["created"]
    assert created.keys() == SHOWN | {"user_key"}
    shown = {name: created[name] for name in SHOWN}
    assert done["twice"] == {"message": "username: This field must be unique.", "status": 400}
    assert done["found"] == done["whereTwoArguments"] == shown
    assert done["foundMany"] == done["where"] == [shown]
    assert done["foundNobody"] is None
    assert {user["username"] for user in done["orWhere"]} == {"john@email.com", "root"}
    assert done["badWhere"] == {"message": ["Users can be asked for by id and username alone."], "status": 400}
    names = ["john@email.com", *others, "root"]
    assert done["listed"] == names
    assert done["taken"] == names[:3]
    assert (done["updated"]["id"], done["updated"]["username"]) == (created["id"], "jim@email.com")
    assert done["loggedIn"].keys() == SHOWN | {"user_key"}
    assert done["notLoggedIn"] == {"message": "Invalid username or password.", "status": 401}
    assert done["firstOrCreate"]["id"] == created["id"]
    assert done["deleted"] is None
    assert done["deletedTwice"] == {"message": "Not found.", "status": 404}
    assert done["stranger"]["status"] == 403


def test_the_documents_scripts_run_as_printed(run: Run, front: Front, doorman: Doorman) -> None:
    """The three server scripts create, update and delete a user, and tell who is nobody."""

    def script(name: str, user_id: str | None = None, **arguments: str) -> Any:
        meta = {"user": {"id": user_id}} if user_id else {}
        context = {"args": arguments, "meta": meta, "token": ADMIN_TOKEN, "instanceName": "any-name"}
        return run(SCRIPTS / "run_script.mjs", name, json.dumps(context))

    created = script("create", **JOHN)
    user_id = created["content"]["msg"].split()[3]
    assert created == {"status": 200, "content": {"msg": f"User with ID {user_id} created!"}}
    jim = {"username": "jim@email.com", "password": "another password"}
    assert script("update", **jim) == {"status": 401, "content": "Unauthorised"}
    assert script("update", user_id, **jim)["content"] == {"msg": f"User with ID {user_id} has been updated!"}
    assert httpx.post(f"{doorman.url}/user-auth/login", json=jim).json()["id"] == user_id
    assert script("delete") == {"status": 401, "content": "Unauthorised"}
    assert script("delete", user_id)["content"] == {"msg": f"User with ID {user_id} has been deleted!"}
    assert doorman.call("GET").json() == {"users": ["root"]}


def test_the_address_of_a_session_is_the_clients(front: Front, doorman: Doorman) -> None:
    """Behind a front that is trusted, a session's address is not the front's, and its cookie goes over TLS alone."""
    doorman.call("POST", "/joe", json={"password": "superpass123"})
    trusting = ssl.create_default_context(cafile=str(front.certificate))
    transport = httpx.HTTPTransport(verify=trusting, local_address="127.9.9.9")
    with httpx.Client(transport=transport) as client:
        body = {"username": "joe", "password": "superpass123"}
        answer = client.post(f"{front.url}/login.json", json=body, headers={"X-Forwarded-For": "192.0.2.1"})
    assert "Secure" in answer.headers["Set-Cookie"]
    [session] = doorman.call("GET", "/joe/sessions", ("joe", "superpass123")).json()["sessions"]
    assert session["address"] == "127.9.9.9"
