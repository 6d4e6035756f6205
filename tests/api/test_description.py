"""The OpenAPI document: what it says is valid, is all that there is, and happens."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api.description.openapi import UndescribedRouteError, openapi_document
from api.exchanges import by_command_line
from models.errors import TooManyAttemptsError, UnavailableError
from tests.api.conftest import PASSWORD, Api
from tests.api.described import description
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

DOCUMENT = "/api/v2/openapi.json"
KEY = {"X-Api-Key": ADMIN_TOKEN}
FOREIGN = {"Origin": "https://elsewhere.example"}
TOO_LARGE = b"x" * (64 * 1024 + 1)
# What it takes an issuer to see, test_oauth_browser.py sees.
ELSEWHERE = {
    ("GET", "/users/login/oauth"): {303},
    ("GET", "/users/login/oauth/callback"): {200, 401, 422},
}

Seen = set[tuple[str, str, int]]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the method, the path and the description of each operation."""
    for path, methods in description().document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1, operations have names of their own, and each example is of the shape beside it."""
    document = description().document
    validate(document)
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for _, _, operation in operations())
    components = document["components"]
    answers = components["responses"].values()
    media = [media for answer in answers for media in answer.get("content", {}).values()]
    for _, _, operation in operations():
        media += operation.get("requestBody", {}).get("content", {}).values()
        media += [one for answer in operation["responses"].values() for one in answer.get("content", {}).values()]
    for one in media:
        validator = Draft202012Validator(one["schema"] | {"components": components})
        for example in one.get("examples", {}).values():
            validator.validate(example["value"])


def test_a_route_that_is_not_described_is_named(sqlite_api: Api) -> None:
    """Whoever adds one is told where to describe it, whichever way it is added."""

    def find_user() -> str:
        return ""

    sqlite_api.app.add_url_rule("/api/v2/find", view_func=find_user, methods=["POST"])
    with pytest.raises(UndescribedRouteError, match=r"POST /api/v2/find .*find_user .*api/description/"):
        openapi_document(sqlite_api.app)


def test_a_parameter_that_is_not_described_is_named(sqlite_api: Api) -> None:
    """The same goes for a part of a path that no other path has."""
    sqlite_api.app.add_url_rule("/healthz/<place>", view_func=sqlite_api.app.view_functions["health.live"])
    with pytest.raises(UndescribedRouteError, match=r"/healthz/{place}.*api/description/headers.py"):
        openapi_document(sqlite_api.app)


def test_only_what_is_served_is_described(
    make_api: Callable[[Environment], Api], sqlite_environment: Environment
) -> None:
    """The document has the surfaces that SURFACES names, with their credentials; without ``docs`` there is none."""
    document = make_api(sqlite_environment | {"SURFACES": "classic,docs"}).ask(DOCUMENT, method="GET").get_json()
    assert {operation["tags"][0] for path in document["paths"].values() for operation in path.values()} == {
        "classic",
        "documents",
        "health",
    }
    assert "/api/v2/asyncapi.json" not in document["paths"]
    assert set(document["components"]["securitySchemes"]) == {"session", "sessionCookie"}
    api = make_api(sqlite_environment | {"SURFACES": "v2,websocket"})
    for path in (DOCUMENT, "/api/v2/asyncapi.json", "/docs"):
        assert api.ask(path, method="GET").status_code == 404


def test_v2_wants_credentials(sqlite_api: Api) -> None:
    """Every route under /api/v2 is refused without, in writing and in deed; but for the documents, which are public."""
    public = {DOCUMENT, "/api/v2/asyncapi.json"}
    guarded = [(method, path) for method, path, operation in operations() if operation["security"]]
    for method, path, _ in operations():
        if path.startswith("/api/v2/"):
            assert ((method, path) in guarded) is (path not in public)
            status = sqlite_api.call(method, path.replace("{", "").replace("}", ""), None).status_code
            assert status == (200 if path in public else 401), path


class Calls:
    """Calls the API, and notes what each operation has answered."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.seen: Seen = set()

    def __call__(self, call: str, json: Any = None, **rest: Any) -> Any:
        """Send a request like ``POST /login.json``, as nobody unless ``auth`` is given; return the answer's body."""
        method, path = call.split()
        answer = self.api.call(
            method, path, rest.pop("auth", None), **({"json": json} if json is not None else {}), **rest
        )
        operation = description().operation_of(self.api.app, answer)
        assert operation is not None, call
        self.seen.add((method, operation["operationId"], answer.status_code))
        return answer.get_json(silent=True)


def call_v2(call: Calls) -> None:
    one, own = "/api/v2/users/joe", {"auth": ("joe", PASSWORD)}
    call("POST /api/v2/users/joe", {"password": PASSWORD}, auth=ADMIN)
    session = call("POST /login.json", {"username": "joe", "password": PASSWORD})
    found = call(f"GET {one}/sessions", auth=ADMIN)["sessions"][0]["id"]
    assert session["id"] != found
    for route in ("GET /api/v2/users", f"GET {one}", f"POST {one}", f"DELETE {one}", f"PUT {one}/update"):
        call(route)
        call(f"{route}?oauth=2", auth=ADMIN, **({"json": {"password": PASSWORD}} if "P" in route[:2] else {}))
    for route in (f"PATCH {one}/update", f"POST {one}/refresh", f"GET {one}/sessions", f"DELETE {one}/sessions"):
        call(route)
        call(f"{route}?oauth=2", auth=ADMIN)
    for route in (f"GET {one}/sessions/x", f"DELETE {one}/sessions/x", f"DELETE {one}/sessions?except=x"):
        call(route)
        call(route, auth=ADMIN)
        call(f"{route.partition('?')[0]}?oauth=2", auth=ADMIN)
    call(f"GET {one}/sessions/{found}", auth=ADMIN)
    call(f"DELETE {one}/sessions/{found}", auth=ADMIN)
    call(f"DELETE {one}/sessions", auth=ADMIN)
    call("GET /api/v2/users", **own)
    call("GET /api/v2/users?limit=1", auth=ADMIN)
    call("GET /api/v2/audit")
    call("GET /api/v2/audit", **own)
    call("GET /api/v2/audit?limit=1", auth=ADMIN)
    call("GET /api/v2/audit?kind=none", auth=ADMIN)
    for route in ("", "/update", "/refresh", "/sessions", "/sessions/x"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (
                method.lower()
                in description().document["paths"][f"/api/v2/users/{{user_name}}{route}".replace("/x", "/{session_id}")]
            ):
                call(f"{method} /api/v2/users/ann{route}", **own)
                call(f"{method} /api/v2/users/ann{route}", {"name": "x"}, auth=ADMIN)
    for method in ("PUT", "PATCH"):
        call(f"{method} {one}/update", {"name": "Joe"}, **own)
        call(f"{method} {one}/update", {"name": "Joe"}, headers={"If-Match": '"x"'}, **own)
        call(f"{method} {one}/update", data="{}", content_type="text/plain", **own)
        call(f"{method} /api/v2/users/root/update", {"disabled": True}, auth=ADMIN)
    call(f"POST {one}", data="{}", content_type="text/plain", auth=ADMIN)
    call(f"POST {one}/refresh", **own)
    call(f"GET {one}", **own)
    call(f"DELETE {one}", headers={"If-Match": '"x"'}, **own)
    call("DELETE /api/v2/users/root", auth=ADMIN)
    call(f"DELETE {one}", **own)


def call_classic(call: Calls) -> None:
    body = {"username": "kim", "password": PASSWORD}
    call("POST /login.json", body)
    call("POST /createuser.json", body)
    call("POST /createuser.json", body)
    call("POST /createuser.json", {})
    session = call("POST /login.json", body)["id"]
    call("POST /login.json", body | {"password": "another one"})
    call("POST /login.json", {})
    call("POST /logout.json")
    call(f"POST /logout.json?s={session}")


def call_socket(call: Calls) -> None:
    for number, at in enumerate(("/user-auth", "/v3/instances/i/endpoints/sockets/user-auth")):
        body = {"username": f"joe{number}@email.com", "password": PASSWORD}
        for route in ("register", "login"):
            call(f"POST {at}/{route}/", body)
            call(f"POST {at}/{route}/", {})
        key = call(f"POST {at}/login/", body)["token"]
        call(f"POST {at}/update/", {"password": "a password"})
        call(f"POST {at}/update/?user_key={key}", {})
        call(f"POST {at}/delete/")
        for route in ("register", "login", "update"):
            call(f"POST {at}/{route}/?user_key={key}", data="{}", content_type="text/plain")
        call(f"POST {at}/update/?user_key={key}", {"password": "another one"})
        key = call(f"POST {at}/login/", body | {"password": "another one"})["token"]
        call(f"POST {at}/delete/?user_key={key}")
        with by_command_line():
            call.api.core.accounts.update(None, "root", {"user_name": "root@email.com"})
        key = call(f"POST {at}/login/", {"username": "root@email.com", "password": ADMIN[1]})["token"]
        call(f"POST {at}/delete/", headers={"X-USER-KEY": key})
        with by_command_line():
            call.api.core.accounts.update(None, "root@email.com", {"user_name": "root"})


def call_users_class(call: Calls) -> None:
    for number, at in enumerate(("/v2/instances/i/users", "/v3/instances/i/users")):
        body = {"username": f"eve{number}", "password": PASSWORD}
        call(f"GET {at}/", headers=KEY)
        call(f"GET {at}/?page_size=0", headers=KEY)
        user = call(f"POST {at}/", body, headers=KEY)["id"]
        call(f"POST {at}/", body, headers=KEY)
        for route in (f"GET {at}/", f"POST {at}/", f"POST {at}/auth/"):
            call(route)
        for route in (f"POST {at}/", f"POST {at}/auth/", f"PATCH {at}/{user}/"):
            call(route, data="{}", content_type="text/plain", headers=KEY)
            call(route, {}, headers=KEY)
        call(f"POST {at}/auth/", body, headers=KEY)
        call(f"POST {at}/auth/", body | {"password": "another one"}, headers=KEY)
        (root,) = [one["id"] for one in call(f"GET {at}/", headers=KEY)["objects"] if one["username"] == "root"]
        call(f"DELETE {at}/{root}/", headers=KEY)
        for method in ("GET", "PATCH", "DELETE"):
            call(f"{method} {at}/{user}/")
            call(f"{method} {at}/x/", {"password": PASSWORD}, headers=KEY)
            call(f"{method} {at}/{user}/", {"username": f"eve{number}"}, headers=KEY)


def call_jwt(call: Calls) -> None:
    call("GET /.well-known/jwks.json")
    call("GET /users/login/oauth")
    call("GET /users/login/oauth/callback")
    new = {"username": "mike", "name": "Mike", "password": PASSWORD}
    change = {"username": "mike", "oauth": 0, "permission": "noob"}
    vouched = {"netid": "hy103", "name": "Hye"}
    for group in ("noob", "manager", "admin"):
        call(f"POST /users/{group}", {"user": new | {"username": group}}, auth=ADMIN)
    noob = {"auth": ("noob", PASSWORD)}
    call("POST /users/login", {"user": {"username": "noob", "password": PASSWORD}})
    call("POST /users/login", {})
    for route, body in (
        *((f"POST /users/{group}", new) for group in ("noob", "manager", "admin")),
        ("POST /users/permission", change),
        ("POST /users/login/oauth", vouched),
        ("POST /users/login", {}),
    ):
        call(route, {"user": body})
        call(route, {"user": body}, **noob)
        call(route, data="[", content_type="application/json", auth=ADMIN)
        call(route, data="{}", content_type="text/plain", auth=ADMIN)
    call("POST /users/login/oauth", {"user": vouched}, auth=ADMIN)
    call("POST /users/permission", {"user": change | {"username": "manager"}}, auth=ADMIN)
    call("POST /users/permission", {"user": {"permission": "noob", "oauth": 0}}, auth=ADMIN)
    with by_command_line():
        call.api.core.accounts.delete(None, "admin")
    call("POST /users/permission", {"user": change | {"username": "root"}}, auth=ADMIN)


def call_service(call: Calls) -> None:
    call("POST /api/v2/users/noob", {"password": PASSWORD}, auth=ADMIN)
    for route in ("GET /api/v2/verify", "GET /api/v2/status"):
        call(route)
        call(route, auth=ADMIN)
        call(route.replace("verify", "verify?group=admin"), auth=("noob", PASSWORD))
    call("GET /api/v2/verify?group=king", auth=ADMIN)


def call_documents(call: Calls) -> None:
    call("GET /healthz/live")
    call("GET /healthz/ready")
    for path in (DOCUMENT, "/api/v2/asyncapi.json"):
        call(f"GET {path}")
        call(f"GET {path}", headers={"If-None-Match": "*"})


def test_what_the_document_says_happens(sqlite_api: Api) -> None:
    """Each operation has been seen to give each of the answers that are documented, in the documented shape."""
    failing: list[Exception] = []

    def fail() -> None:
        if failing:
            raise failing[0]

    sqlite_api.app.before_request(fail)
    call = Calls(sqlite_api)
    for some in (call_v2, call_classic, call_socket, call_users_class, call_jwt, call_service, call_documents):
        some(call)
    for method, path, operation in operations():
        route = f"{method} {path.format_map(dict.fromkeys(('user_name', 'session_id', 'instance', 'user_id'), 'x'))}"
        call(route, data=TOO_LARGE, content_type="application/json")
        call(route, environ_overrides={"QUERY_STRING": "\xff"})
        if method != "GET":
            call(route, headers=FOREIGN)
        # What any of them may be answered when something goes wrong, or has gone wrong before.
        errors = {429: TooManyAttemptsError(1), 500: RuntimeError(), 503: UnavailableError("")}
        for status in errors.keys() & {int(status) for status in operation["responses"] if status != "default"}:
            failing[:] = [errors[status]]
            call(route)
        failing.clear()
    documented = {
        (method, operation["operationId"], int(status))
        for method, path, operation in operations()
        for status in operation["responses"].keys() - {"default", "414"}  # the server's own: test_server_http.py
        if int(status) not in ELSEWHERE.get((method, path), ())
    }
    assert documented - call.seen == set()
