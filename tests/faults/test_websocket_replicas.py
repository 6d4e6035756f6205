"""A token ends everywhere at once: what one replica ends over a WebSocket, another refuses over HTTP, and back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.databases import ADMIN_TOKEN, Environment
from tests.running import START_SECONDS, Doorman, from_own_address
from tests.websocket_clients import ANONYMOUS, Talk, Talker

PASSWORD, NEW = "a fine long password", "another long password"
ROUNDS = 4

Replicas = tuple[Doorman, Doorman]
Begin = Callable[[Doorman, str], httpx.Client]


@pytest.fixture
def replicas(environment: Environment, serve: Callable[[Environment], Doorman]) -> Replicas:
    """Two servers of one worker each over one store, so that it is known which process is asked."""
    return serve(environment), serve(environment)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Make clients of HTTP that present one ``Authorization``, each from an address of its own."""
    with ExitStack() as ends:

        def begin(doorman: Doorman, authorization: str) -> httpx.Client:
            client = httpx.Client(
                base_url=doorman.url,
                headers={"Authorization": authorization},
                transport=from_own_address(),
                timeout=START_SECONDS,
            )
            return ends.enter_context(client)

        yield begin


def make_admin(doorman: Doorman, name: str) -> dict[str, str]:
    """Make a user who may make others, which shows on HTTP whose a token is; return what it logs in with."""
    answer = doorman.call("POST", f"/{name}", json={"password": PASSWORD, "user_group": "admin"})
    assert answer.status_code == 200, answer.text
    return {"username": name, "password": PASSWORD}


def token_by_http(doorman: Doorman, login: dict[str, str]) -> str:
    answer = httpx.post(f"{doorman.url}/users/login", json={"user": login}, timeout=START_SECONDS)
    token: str = answer.json()["user"]["token"]
    return token


def creates(client: httpx.Client, name: str) -> int:
    user = {"username": name, "name": "Somebody", "password": PASSWORD}
    return client.post("/users/noob", json={"user": user}).status_code


# Who logs out, and how: the connection that logged in, any other that has the token, or one whose handshake had it.
Logout = Callable[[Talker, Talk, Doorman, str], Any]
LOGOUTS: dict[str, Logout] = {
    "its own": lambda talker, _talk, _here, _token: talker.told("logout"),
    "by the data": lambda _talker, talk, here, token: talk(here.url).told("logout", token=token),
    "by the handshake": lambda _talker, talk, here, token: talk(here.url, f"Bearer {token}").told("logout"),
}


def test_a_logout_over_the_websocket_counts_for_http_elsewhere(replicas: Replicas, talk: Talk, begin: Begin) -> None:
    """A token that one replica issued over a WebSocket is refused by the other's next request, where it was in use."""
    here, there = replicas
    login = make_admin(here, "jane")
    for number, way in enumerate([*LOGOUTS] * ROUNDS):
        talker = talk(here.url)
        token = talker.told("login", **login)["token"]
        clients = [begin(there, f"{scheme} {token}") for scheme in ("Bearer", "Token")]
        for again in range(2):
            statuses = [creates(client, f"user-{number}-{again}-{n}") for n, client in enumerate(clients)]
            assert statuses == [200, 200]
        assert LOGOUTS[way](talker, talk, here, token) == {"success": True}
        assert [creates(client, f"late-{number}-{n}") for n, client in enumerate(clients)] == [401, 401], way
        assert talker.refused("me") == ANONYMOUS, way
    names = there.call("GET").json()["users"]
    assert not [name for name in names if name.startswith("late")]


def revoke_each(doorman: Doorman, name: str) -> httpx.Response:
    """End the sessions of a user one by one."""
    answer = doorman.call("GET", f"/{name}/sessions")
    for session in answer.json()["sessions"]:
        answer = doorman.call("DELETE", f"/{name}/sessions/{session['id']}")
    return answer


# What ends every token of a user over HTTP.
ENDS: dict[str, Callable[[Doorman, str], httpx.Response]] = {
    "the revocation of each": revoke_each,
    "the revocation of all": lambda doorman, name: doorman.call("DELETE", f"/{name}/sessions"),
    "another password": lambda doorman, name: doorman.call("PUT", f"/{name}/update", json={"password": NEW}),
    "a ban": lambda doorman, name: doorman.call("PUT", f"/{name}/update", json={"disabled": True}),
    "a deletion": lambda doorman, name: doorman.call("DELETE", f"/{name}"),
}


def test_an_end_over_http_counts_for_websockets_elsewhere(replicas: Replicas, talk: Talk) -> None:
    """A token that one replica's connections use, in their data or handshakes, ends there by the other's HTTP."""
    here, there = replicas
    for number, end in enumerate([*ENDS] * ROUNDS):
        name = f"joe{number}"
        login = make_admin(there, name)
        token = token_by_http(there, login)
        by_data, *by_handshake = talk(here.url), talk(here.url, f"Bearer {token}"), talk(here.url, f"Token {token}")
        for _ in range(2):
            assert by_data.told("me", token=token)["username"] == name
            assert [talker.told("me")["username"] for talker in by_handshake] == [name, name]
        assert ENDS[end](there, name).status_code == 200
        assert by_data.refused("me", token=token) == ANONYMOUS, end
        assert [talker.refused("me") for talker in by_handshake] == [ANONYMOUS, ANONYMOUS], end
        assert by_data.refused("logout", token=token) == ANONYMOUS, end
        assert by_data.is_there()


def test_an_end_over_http_makes_a_login_elsewhere_anonymous(replicas: Replicas, talk: Talk) -> None:
    """A connection that logged in on one replica is nobody's from its next action on, whatever its handshake had."""
    here, there = replicas
    for number, end in enumerate([*ENDS] * ROUNDS):
        name = f"joe{number}"
        login = make_admin(there, name)
        talkers = [talk(here.url), talk(here.url, f"Bearer {ADMIN_TOKEN}")]
        for talker in talkers:
            talker.told("login", **login)
            assert talker.told("me")["username"] == talker.told("details", username=name)["username"] == name
        assert ENDS[end](there, name).status_code == 200
        for talker in talkers:
            assert [talker.refused(action) for action in ("me", "logout")] == [ANONYMOUS] * 2, end
            assert talker.refused("details", username=name) == ANONYMOUS, end
            assert talker.is_there()
