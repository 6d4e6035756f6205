"""The documents and the page as they are served: to whom, how packed, how long they may be kept."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from api.description.asyncapi import UndescribedActionError, asyncapi_document
from api.websocket_actions import ACTIONS, UserConversation
from models.clients import client_at
from models.secret import Secret
from tests.api.conftest import PASSWORD, Api
from tests.api.described import description
from tests.clients.nodejs import HERE as CLIENTS
from tests.tools import missing

PAGE = Path(__file__).parents[2] / "api" / "docs_page"
PACKED = {"Accept-Encoding": "gzip"}
HERE = client_at("203.0.113.1")


def installed(package: str) -> Path:
    """Return the folder of an npm package, once it is there."""
    found = CLIENTS / "node_modules" / package
    return found if found.exists() else missing(f"{package} is not installed (make test does it)")


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_a_document_is_for_everyone(sqlite_api: Api, name: str) -> None:
    """It needs no credentials, comes packed for those who take it, and is not sent again to those who have it."""
    path = f"/api/v2/{name}.json"
    plain = sqlite_api.ask(path, method="GET")
    packed = sqlite_api.ask(path, method="GET", headers=PACKED)
    assert gzip.decompress(packed.data) == plain.data
    assert plain.content_length == len(plain.data)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert (plain.headers["Vary"], plain.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
    assert json.loads(plain.data)["info"]["version"]
    assert plain.headers["ETag"] == packed.headers["ETag"]
    again = sqlite_api.ask(path, method="GET", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", plain.headers["ETag"])
    assert sqlite_api.ask(path, method="HEAD").data == b""


def test_a_document_is_the_same_in_each_process() -> None:
    """So its ETag is good for all workers and replicas of a version, whichever a client meets."""
    script = "import json, sys; from postman.document import full_document; json.dump(full_document(), sys.stdout)"
    made = subprocess.run([sys.executable, "-c", script], cwd=PAGE.parents[1], capture_output=True, check=True)
    assert made.stdout.decode() == json.dumps(description().document)


def test_the_page_names_its_files_by_what_is_in_them(sqlite_api: Api) -> None:
    """They may be kept for good under these names, and not under others; nothing else of the folder is to be had."""
    page = sqlite_api.ask("/docs", method="GET")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    linked = [part.partition('"')[0] for part in page.text.split('="docs/')[1:]]
    assert len(linked) == 5
    for path in linked:
        packed = sqlite_api.ask(f"/docs/{path}", method="GET", headers=PACKED)
        assert (packed.status_code, "immutable" in packed.headers["Cache-Control"]) == (200, True)
        assert gzip.decompress(packed.data) == sqlite_api.ask(f"/docs/{path}", method="GET").data
        other = sqlite_api.ask(f"/docs/0{path}", method="GET")
        assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-cache")
    (digest,) = {path.partition("/")[0] for path in linked}
    for name in ("docs.html", "swagger-ui.css.gz", "..%2fdocuments.py", "%2e%2e"):
        assert sqlite_api.ask(f"/docs/{digest}/{name}", method="GET").status_code == 404
    assert sqlite_api.ask("/docs/", method="GET").headers["Location"] == "../docs"


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_the_pages_library_is_the_published_one(name: str) -> None:
    """What is committed is, byte for byte, what the package of the locked version and digest holds."""
    published = installed("swagger-ui-dist") / name
    assert gzip.decompress((PAGE / f"{name}.gz").read_bytes()) == published.read_bytes(), "run make generated"


def test_the_asyncapi_document_is_valid() -> None:
    """It is of the schema that the AsyncAPI initiative publishes."""
    schema = json.loads((installed("@asyncapi/specs") / "schemas" / "3.0.0.json").read_text())
    Draft7Validator(schema).validate(asyncapi_document())


def test_an_action_that_is_not_described_is_named() -> None:
    """Whoever adds one is told where to describe it."""
    with pytest.raises(UndescribedActionError, match=r"find .*api/description/websocket.py"):
        asyncapi_document({**ACTIONS, "find": UserConversation.answer})


def test_each_action_answers_as_described(sqlite_api: Api) -> None:
    """Each message of the document, requests and answers, has been seen, and was as the document says."""
    document = asyncapi_document()
    messages, schemas = document["components"]["messages"], {"schemas": document["components"]["schemas"]}
    for schema in schemas["schemas"].values():
        schema.setdefault("additionalProperties", False)
    for message in messages.values():
        message["payload"]["additionalProperties"] = False
    seen = set()
    conversation = UserConversation(sqlite_api.core, HERE, Secret(""), "tests")

    def ask(action: str, data: Any, answer: str | None = None) -> None:
        request = {"action": action, "id": 7} | ({} if data is None else {"data": data})
        answered = json.loads(conversation.answer(json.dumps(request)))
        names = [answer or f"{action}Answer"] + ([action] if answer is None else [])
        for name, said in zip(names, (answered, request), strict=False):
            Draft202012Validator(messages[name]["payload"] | {"components": schemas}).validate(said)
            seen.add(name)
        assert answered["id"] == 7

    joe = {"username": "joe", "password": PASSWORD}
    ask("ping", None)
    ask("me", None, "error")
    ask("new", joe | {"email": "joe@example.com"})
    ask("new", joe | {"email": "jim@example.com"}, "error")
    ask("new", {"password": "x"}, "error")
    ask("login", joe)
    ask("me", {})
    ask("details", {"username": "root"})
    ask("details", {"username": "joe"})
    ask("details", {"username": "nobody"}, "error")
    ask("logout", {})
    assert seen == messages.keys()
