"""All of one Doorman's operations, asked with secrets: right ones, wrong ones, and such as it crashes of."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import httpx

from api.websocket_actions import ACTIONS
from tests.api.issuers import SmallIssuer
from tests.faults.canaries import Canaries
from tests.faults.extent import extent
from tests.running import Doorman, from_own_address
from tests.websocket_clients import Talk, Talker

NO_ID = "0" * 24
PAGES = [
    *("", "/login", "/logout", "/users", "/users/new"),
    *(f"/users/{NO_ID}{end}" for end in ("", "/edit", "/password", "/token", "/delete", "/sessions")),
]
PLACES = {"user_name": "bob", "user_id": NO_ID, "session_id": NO_ID, "instance": "any", "file_name": "style.css"}
BODY_METHODS = {"post", "put", "patch"}

Way = dict[str, Any]


def basic(user_name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user_name}:{password}".encode()).decode()}


class Surfaces:
    """What was asked: ``shown`` are the errors and pages that came, ``crashes`` is how many crashes there were."""

    def __init__(self, doorman: Doorman, canaries: Canaries, issuer: SmallIssuer) -> None:
        self.doorman = doorman
        self.canaries = canaries
        self.issuer = issuer
        self.shown: list[httpx.Response] = []
        self.crashes = 0

    def ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        with httpx.Client(transport=from_own_address(), base_url=self.doorman.url, timeout=30) as client:
            answer = client.request(method, path, **rest)
        self.crashes += answer.status_code == 500
        is_page = method == "GET" and path.startswith(("/console", "/docs")) and not answer.is_redirect
        if answer.status_code >= 400 or is_page:
            self.shown.append(answer)
        return answer

    def told(self, method: str, path: str, member: str, use: str, **rest: Any) -> str:
        """Return a secret that a right answer has, which is one to be looked for from then on."""
        answer = self.ask(method, path, **rest)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        for name in member.split("."):
            found = found[name]
        return self.canaries.add(use, found)

    def begin(self) -> None:
        """Have an admin with a session of each kind, and a user to work on."""
        new = self.canaries
        self.root = basic("root", new.values["admin password"])
        self.body = {"password": new.text("password"), "token": new.token("token"), "user_group": "admin"}
        for name, fields in (("alice", self.body), ("bob", {"password": new.text("bob's password")})):
            made = self.ask("POST", f"/api/v2/users/{name}", json=fields, headers=self.root)
            assert made.status_code == 200, made.text
        login = {"username": "alice", "password": self.body["password"]}
        self.session = self.told("POST", "/login.json", "id", "session", json=login)
        self.key = self.told("POST", "/user-auth/login", "token", "user key", json=login)
        self.jwt = self.told("POST", "/users/login", "user.token", "JWT", json={"user": login})
        self.id_token = new.add("id_token", self.issuer.token(sub="hy103"))
        form = {"user_name": "alice", "password": self.body["password"]}
        answer = self.ask("POST", "/console/login", data=form, headers={"Origin": self.doorman.url})
        self.console = new.add("console session", answer.cookies["doorman-console"])

    def presented(self) -> Iterator[Way]:
        """Yield ways to present credentials: right ones of each kind, wrong ones, and such as it crashes of."""
        new, right = self.canaries, self.body
        yield {"headers": basic("alice", right["password"])}
        typed, named = new.token("typed as a name"), new.token("request id")
        yield {"headers": {**basic(typed, "x"), "X-Request-ID": named, "Referer": f"https://example.com/?{named}"}}
        for use in ("wrong", "crash"):
            yield {"headers": basic("alice", new.text(f"{use} password"))}
            yield {"headers": {"Authorization": f"Bearer {new.token(f'{use} token')}"}}
            yield {"headers": {"Authorization": f"Token {new.token(f'{use} JWT')}"}}
            unknown, api_key = new.token(f"{use} scheme"), new.token(f"{use} key")
            yield {"headers": {"Authorization": f"Unknown {unknown}", "X-Api-Key": api_key}}
            yield sessions(*(new.token(f"{use} {kind}") for kind in ("session", "user key", "console session")))
        yield {"headers": {"Authorization": f"Bearer {right['token']}", "X-Api-Key": right["token"]}}
        yield {"headers": {"Authorization": f"Token {self.jwt}"}}
        yield sessions(self.session, self.key, self.console)

    def bodies(self) -> Iterator[Way]:
        """Yield bodies with secrets where they belong, and where they do not."""
        new = self.canaries
        for use in ("body", "crash body"):
            password, token = new.text(f"{use} password"), new.token(f"{use} token")
            members: dict[str, Any] = {"username": "alice", "name": "Ann", "password": password, "token": token}
            members |= {"netid": "hy103", "id_token": token}
            yield {"json": {**members, "user": members, "info": members}}
            yield {"json": {"password": password, "token": token}}
            yield {"content": json.dumps(members)[:-9].encode(), "headers": {"Content-Type": "text/plain"}}
            form = {"user_name": "alice", "own_password": password, "password": password, "form_token": token}
            yield {"data": form, "headers": {"Origin": self.doorman.url}}
        yield {"json": {"password": 5, "token": [new.token("listed token")]}}
        yield {"json": {"user": {"netid": "hy103", "id_token": self.id_token}}}

    def operations(self) -> list[tuple[str, str]]:
        """Return each method and path: of the API as it describes itself, and of the pages; deletions come last."""
        document = self.ask("GET", "/api/v2/openapi.json").json()
        described = [(method, path) for path, methods in document["paths"].items() for method in methods]
        pages = [("get", "/docs"), *((method, f"/console{path}") for path in PAGES for method in ("get", "post"))]
        return sorted([*described, *pages], key=lambda one: one[0] == "delete")

    def ask_all(self) -> None:
        """Ask every operation: in full in every way, and in short in some, each way in turn."""
        ways, bodies = list(self.presented()), list(self.bodies())
        turns, body_turns = cycle(ways), cycle(bodies)
        for method, template in self.operations():
            path = re.sub(r"{(.*?)}", lambda place: PLACES.get(place[1], "x"), template)
            for _ in range(extent(2, len(ways) * (len(bodies) if method in BODY_METHODS else 1))):
                way: Way = next(turns)
                if method in BODY_METHODS:
                    body = next(body_turns)
                    way = {**way, **body, "headers": {**way["headers"], **body.get("headers", {})}}
                self.ask(method.upper(), path, **way)

    def converse(self, talk: Talk) -> None:
        """Send every action of the WebSocket, on connections that brought credentials and on one that did not."""
        new, right = self.canaries, self.body["password"]
        handshakes = [None, *(way["headers"].get("Authorization") for way in self.presented())]
        named = {"username": "alice", "user_id": "x", "email": "a@example.com"}
        for authorization in handshakes[: extent(3, None)]:
            talker = talk(self.doorman.url, authorization)
            for action in (*ACTIONS, "unknown"):
                for password in (right, new.text("wrong message"), new.text("crash message")):
                    self.say(talker, action, {**named, "password": password})
                for token in (new.token("wrong message's token"), new.token("crash message's token")):
                    self.say(talker, action, {**named, "password": right, "token": token})

    def say(self, talker: Talker, action: str, data: Mapping[str, str]) -> None:
        answer = talker.ask(action, **data)
        if "error" in answer:
            assert not self.canaries.found_in(json.dumps(answer).encode())
            self.crashes += "it was logged" in str(answer["error"])
        elif action == "login":
            self.canaries.add("message's JWT", answer["data"]["token"])


def sessions(session: str, key: str, console: str) -> Way:
    """Present sessions in all the places where they may be."""
    cookies = f"session={session}; doorman-console={console}; oauth_login={session}"
    return {
        "headers": {"Cookie": cookies, "X-USER-KEY": key},
        "params": {"s": session, "user_key": key, "token": key, "code": session, "state": session},
    }
