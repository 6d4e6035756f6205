"""What the audit trail has, as tests read it: the events since they last looked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from api.exchanges import KEY as EXCHANGE
from api.exchanges import Exchange
from api.websocket_actions import UserConversation
from tests.api.commands import Commands
from tests.api.conftest import ADDRESSES, Api
from tests.databases import ADMIN, Environment

AUDIT = "/api/v2/audit"
Told = dict[str, Any]


class Audited:
    """One application, and ways into it each of which remembers where it came from."""

    def __init__(self, api: Api, environment: Environment, directory: Path) -> None:
        self.api = api
        self.commands = Commands(environment, directory)
        self.routes: set[tuple[str, str]] = set()  # that were called, with their methods
        self.actions: set[str] = set()
        self.ran: set[tuple[str, ...]] = set()
        self.address = self.request_id = ""
        self._seen: set[str] = set()

    def call(self, method: str, path: str, json: Any = None, **rest: Any) -> Any:
        """Send a request as nobody, unless ``auth`` says who; return its answer's body."""
        self.address = next(ADDRESSES)
        rest |= {"json": json} if json is not None else {}
        answer = self.api.call(method, path, rest.pop("auth", None), environ_base={"REMOTE_ADDR": self.address}, **rest)
        assert answer.status_code < 400, answer.text
        self.request_id = answer.headers["X-Request-ID"]
        rule, _ = self.api.app.url_map.bind("localhost").match(path.partition("?")[0], method, return_rule=True)
        self.routes.add((method, rule.rule))
        return answer.get_json(silent=True)

    def connect(self) -> Callable[..., Any]:
        """Open a WebSocket; return what sends an action over it."""
        self.address = next(ADDRESSES)
        exchange = Exchange()
        self.request_id = exchange.request_id
        assert self.api.app.conversations is not None
        environ = {"RAW_URI": "/users/", "SCRIPT_NAME": "", "REQUEST_METHOD": "GET", "HTTP_HOST": "localhost"}
        more = {"REMOTE_ADDR": self.address, "wsgi.url_scheme": "http", EXCHANGE: exchange}
        conversation: Any = self.api.app.conversations.begin(environ | more)
        assert isinstance(conversation, UserConversation)
        exchange.forget()

        def ask(action: str, **data: Any) -> Any:
            self.actions.add(action)
            told = json.loads(conversation.answer(json.dumps({"action": action, "data": data})))
            assert "error" not in told, told
            return told.get("data")

        return ask

    def run(self, *arguments: str, text: str | None = None) -> Any:
        """Run a command, which is done; return what it tells as JSON."""
        self.address, self.request_id = "", ANY
        done = self.commands.run(*arguments, "--json", text=text)
        assert done.status == 0, done.err
        self.ran.add(tuple(word for word in arguments[:2] if "/" not in word))
        return done.json() if done.out else None

    def events(self, query: str = "") -> list[Told]:
        """Return the events that were not seen before, the oldest first."""
        self.api.core.audit_upkeep.flush()
        answer = self.api.call("GET", f"{AUDIT}?limit=1000{query}", ADMIN)
        found = [event for event in answer.get_json()["events"][::-1] if event["id"] not in self._seen]
        self._seen |= {event["id"] for event in found}
        return found

    def expect(self, surface: str, *told: tuple[str, str | None, str | None, dict[str, Any]]) -> None:
        """See that what was done last has left these events: their kinds, actors, subjects and details."""
        found = self.events()
        assert [
            (event["kind"], _name(event["actor"]), _name(event["subject"]), event["details"]) for event in found
        ] == [*told]
        for event in found:
            where = (event["surface"], event["address"], event["request_id"])
            by_system = event["actor"] is not None and event["actor"]["name"] == "the system"
            assert where == (surface, "" if by_system else self.address, self.request_id), event
            assert {type(event[who]["id"]) for who in ("actor", "subject") if event[who]} <= {str, type(None)}


def _name(party: Told | None) -> str | None:
    return None if party is None else party["name"]
