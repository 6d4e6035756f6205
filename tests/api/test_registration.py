"""Who may make an account: ``REGISTRATION``, the limit by address, and ``SURFACES``."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
from werkzeug.test import TestResponse

from models.hashing_gate import HashingGate
from tests.api.conftest import PASSWORD, Api
from tests.api.cores import Clock, Open, opened_api
from tests.databases import ADMIN_TOKEN, Environment

HERE, THERE = "203.0.113.1", "203.0.113.2"


def register(api: Api, name: str, address: str = HERE, **rest: Any) -> TestResponse:
    body = {"username": name, "password": PASSWORD}
    return api.ask("/createuser.json", body, environ_base={"REMOTE_ADDR": address}, **rest)


def register_by_socket(api: Api, name: str, address: str = HERE) -> TestResponse:
    body = {"username": f"{name}@email.com", "password": PASSWORD}
    return api.ask("/user-auth/register", body, environ_base={"REMOTE_ADDR": address})


def test_a_closed_registration_is_told(open_api: Open) -> None:
    """Both open surfaces answer 403 in their own shape, whatever the body; admins go on making accounts."""
    api = open_api(REGISTRATION="closed")
    told = "Registration is closed here: admins make the accounts, and give the names."
    for body in ({"username": "joe", "password": PASSWORD}, {}, {"username": "root", "password": "x"}):
        answer = api.ask("/createuser.json", body)
        assert (answer.status_code, answer.get_json()) == (403, {"error": told})
        answer = api.ask("/user-auth/register", body)
        assert (answer.status_code, answer.get_json()) == (403, {"message": told})
    assert api.names() == ["root"]
    api.add("joe")
    body = {"username": "ann", "password": PASSWORD}
    made = api.ask("/v2/instances/i/users/", body, headers={"X-Api-Key": ADMIN_TOKEN})
    assert made.status_code == 201
    assert api.ask("/login.json", body).status_code == 200


def test_where_registration_is_closed_admins_give_the_names(open_api: Open) -> None:
    """A user keeps its name there, and changes its password as ever."""
    api = open_api(REGISTRATION="closed")
    name, password = api.add("joe@email.com")
    key = api.ask("/user-auth/login", {"username": name, "password": password}).get_json()["token"]
    for status, body in ((403, {"username": "jim@email.com"}), (200, {"username": name, "password": "another one"})):
        assert api.ask(f"/user-auth/update?user_key={key}", body).status_code == status
    assert api.names() == ["joe@email.com", "root"]


def test_an_address_registers_so_often_an_hour(open_api: Open, clock: Clock) -> None:
    """The next one is 429 until the hour is over, on every surface and replica; other addresses go on."""
    clock.advance(3600 - clock.now.minute * 60 - clock.now.second - clock.now.microsecond / 1e6)
    api, replica = (open_api(REGISTRATIONS_PER_HOUR="3") for _ in range(2))
    assert register(api, "one").status_code == 200
    assert register(replica, "two").status_code == 200
    assert register_by_socket(api, "three").status_code == 200
    clock.advance(1800)
    for one, call, shape in ((api, register, "error"), (replica, register_by_socket, "message")):
        answer = call(one, "four")
        assert (answer.status_code, answer.get_json().keys()) == (429, {shape})
        assert answer.headers["Retry-After"] == "1800"
    assert register(api, "five", THERE).status_code == 200
    assert register(api, "six", "::ffff:203.0.113.3").status_code == 200
    clock.advance(1799.999)
    assert register(api, "four").status_code == 429
    clock.advance(0.001)
    assert register(replica, "four").status_code == 200


def test_an_ipv6_network_is_one_address(open_api: Open) -> None:
    """Whoever has a /64 has as many addresses as they like."""
    api = open_api(REGISTRATIONS_PER_HOUR="1")
    assert register(api, "one", "2001:db8::1").status_code == 200
    assert register(api, "two", "2001:db8::2:0:0:1").status_code == 429
    assert register(api, "three", "2001:db8:0:1::1").status_code == 200


def test_what_is_refused_does_not_count(open_api: Open) -> None:
    """A bad name, a bad password and a name that is taken use up nothing of the registrations."""
    api = open_api(REGISTRATIONS_PER_HOUR="1")
    for _ in range(3):
        assert register(api, "x").status_code == 400
        assert register(api, "root").status_code == 409
        body = {"username": "joe", "password": "short"}
        assert api.ask("/createuser.json", body, environ_base={"REMOTE_ADDR": HERE}).status_code == 400
    assert register(api, "joe").status_code == 200


def test_asking_for_names_is_slowed_down(open_api: Open, clock: Clock) -> None:
    """Each answer that a name is taken counts as a failed login of the address, on both surfaces."""
    api = open_api()
    api.add("ann@email.com")
    for number in range(20):
        clock.advance(0.5)
        if number % 2:
            assert register(api, "root").status_code == 409
        else:
            assert register_by_socket(api, "ann").status_code == 400
    assert register(api, "root").status_code == 409
    answer = register(api, "new")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert api.get("", ("root", "a wrong one"), environ_base={"REMOTE_ADDR": HERE}).status_code == 429
    assert register(api, "new", THERE).status_code == 200


def test_a_rename_begins_no_new_count(open_api: Open, clock: Clock) -> None:
    """Who asks for taken names by renaming itself waits longer each time, also under another name of its own."""
    api = open_api()
    api.add("ann@email.com")
    key = register_by_socket(api, "mallory").get_json()["token"]

    def rename(name: str) -> int:
        rest: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": HERE}}
        return api.ask(f"/user-auth/update?user_key={key}", {"username": f"{name}@email.com"}, **rest).status_code

    assert (rename("ann"), rename("free")) == (400, 429)
    clock.advance(0.5)
    assert (rename("free"), rename("ann")) == (200, 400)
    clock.advance(0.5)
    assert rename("another") == 429
    clock.advance(0.5)
    assert rename("another") == 200


class NotedGate(HashingGate):
    """A gate that notes who has asked for a turn."""

    def __init__(self) -> None:
        super().__init__(1)
        self.turns: list[tuple[str, str]] = []

    def login(self, network: str, failures: int = 0) -> AbstractContextManager[None]:
        self.turns.append(("login", network))
        return super().login(network, failures)

    def change(self, user_id: str) -> AbstractContextManager[None]:
        self.turns.append(("change", user_id))
        return super().change(user_id)


def test_only_admins_hash_in_a_queue_of_their_own(environment: Environment) -> None:
    """Accounts that people make themselves wait by network, once for all that is hashed, and crowd no admin out."""
    gate = NotedGate()
    with opened_api(environment, gate=gate) as api:
        assert register(api, "joe").status_code == 200
        assert gate.turns == [("login", "203.0.0.0/16")]
        here: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": HERE}}
        assert api.get("/joe", ("joe", PASSWORD), **here).status_code == 200
        gate.turns.clear()
        changed = api.put("/joe/update", {"password": "another password"}, ("joe", PASSWORD), **here)
        assert changed.status_code == 200
        assert [kind for kind, _ in gate.turns] == ["login"]
        root = api.core.accounts.get("root").id
        assert api.get().status_code == 200
        assert api.post("/ann", {"password": PASSWORD}, ADMIN_TOKEN).status_code == 200
        assert gate.turns[-1] == ("change", root)
        assert [kind for kind, _ in gate.turns].count("change") == 1


def test_racing_registrations_keep_the_limit(open_api: Open) -> None:
    """Of twenty at once from one address, on two replicas, as many succeed as may."""
    replicas = [open_api(REGISTRATIONS_PER_HOUR="5") for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda number: register(replicas[number % 2], f"user{number}").status_code, range(20))
        assert sorted(answers) == [200] * 5 + [429] * 15
    assert len(replicas[0].names()) == 6


def test_racing_for_a_name_one_gets_it(open_api: Open) -> None:
    """Of eight who register one name at once, one is told that it has it, and seven that it is taken."""
    api = open_api()
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda number: register(api, "joe", f"198.51.100.{number}").status_code, range(8))
        assert sorted(answers) == [200] + [409] * 7


PATHS = {
    "v2": ("GET", "/api/v2/users"),
    "syncano": ("POST", "/user-auth/login"),
    "classic": ("POST", "/login.json"),
    "jwt": ("POST", "/users/login"),
    "console": ("GET", "/console/login"),
}


@pytest.mark.parametrize("served", ["v2", "syncano", "classic", "jwt", "console", "v2,classic", "all"])
def test_the_surfaces_that_are_named_are_served(
    make_api: Callable[[Environment], Api], sqlite_environment: Environment, served: str
) -> None:
    """The others are not there at all, and the health routes always are."""
    api = make_api(sqlite_environment | {"SURFACES": served})
    for surface, (method, path) in PATHS.items():
        is_there = served == "all" or surface in served.split(",")
        assert (api.ask(path, method=method).status_code != 404) is is_there
    assert api.ask("/v2/instances/i/users/").status_code == (403 if served in {"syncano", "all"} else 404)
    assert api.ask("/healthz/ready", method="GET").status_code == 200
