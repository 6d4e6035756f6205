"""First logins, which hash, and later ones, which the process remembers: what each costs, and when it ends."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from werkzeug.test import TestResponse

from models import hashing_gate, password_checks
from models.hashing_gate import HashingGate
from tests.api.conftest import PASSWORD, Api, Credential
from tests.api.cores import Clock, opened_api
from tests.api.small_app import until
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

WRONG = "not the password"
TOKEN = "a-token-of-alice-1"
LEAST, HIGHER = 4, 6
OTHER_ADDRESSES = ("10.1.0.2", "10.2.0.1", "10.3.0.1")

MakeApi = Callable[[Environment], Api]


def work(spent: list[int]) -> int:
    """Return what was spent since the last time: a hash of cost n takes 2ⁿ."""
    done = sum(1 << cost for cost in spent)
    spent.clear()
    return done


HERE = {"REMOTE_ADDR": "203.0.113.1"}


def remembered(api: Api, path: str, auth: Credential, spent: list[int]) -> bool:
    """Tell whether the credential opens ``path`` without any hashing, once it was presented."""
    statuses = [api.get(path, auth, environ_base=HERE).status_code]
    spent.clear()
    statuses.append(api.get(path, auth, environ_base=HERE).status_code)
    return statuses == [200, 200] and not spent


def add_users(api: Api) -> list[tuple[str, str]]:
    """Add one user of each kind that cannot log in, and return everything that is refused alike."""
    api.add("alice", token=TOKEN)
    api.add("disabled", disabled=True, token="a-token-of-disabled")
    assert api.post("/oauth?oauth=1", {"token": "a-token-of-an-oauth-user"}).status_code == 200
    return [
        ("nobody", PASSWORD),
        ("alice", WRONG),
        ("alice", "a" * 73),
        ("alice", ""),
        ("alice", ADMIN_TOKEN),
        ("disabled", PASSWORD),
        ("disabled", WRONG),
        ("disabled", "a-token-of-disabled"),
        ("oauth", PASSWORD),
        ("oauth", "a-token-of-an-oauth-user"),
        ("a b", PASSWORD),
        ("", PASSWORD),
        ("a" * 600, PASSWORD),
    ]


def test_every_refusal_is_and_costs_the_same(api: Api, spent: list[int]) -> None:
    """Whoever is not let in gets the same body and headers, after the same work."""
    attempts = add_users(api)
    spent.clear()
    answers, costs = [], []
    for attempt in attempts:
        answers.append(api.get("/alice", attempt))
        costs.append(work(spent))
    assert {answer.status_code for answer in answers} == {401}
    for answer in answers:
        del answer.headers["X-Request-ID"]
    assert len({(answer.data, str(answer.headers)) for answer in answers}) == 1
    assert costs == [2**LEAST] * len(attempts)


def test_refusals_cost_what_the_dearest_hash_does(
    environment: Environment, make_api: MakeApi, spent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one replica hashes at a higher cost, refusals take that on all of them, whoever is refused."""
    monkeypatch.setattr(password_checks, "_COST_KNOWN_FOR", 0.0)  # a minute goes by
    cheap = make_api(environment)
    attempts = add_users(cheap)
    spent.clear()
    assert cheap.get("", ("nobody", WRONG)).status_code == 401
    assert work(spent) == 2**LEAST
    dear = make_api(environment | {"BCRYPT_ROUNDS": str(HIGHER)})
    dear.add("dear")
    for api in (cheap, dear, make_api(environment)):
        for attempt in [*attempts, ("dear", WRONG)]:
            spent.clear()
            assert api.get("", attempt).status_code == 401
            assert work(spent) == 2**HIGHER, attempt
        assert api.get("/dear", ("dear", PASSWORD)).status_code == 200


def test_who_was_right_need_not_hash_again(api: Api, spent: list[int]) -> None:
    """A right password is hashed once, however its name is spelt, a token never, and a wrong password each time."""
    api.add("alice", token=TOKEN)
    spent.clear()
    assert api.get("/alice", ("alice", PASSWORD), environ_base=HERE).status_code == 200
    assert work(spent) == 2**LEAST
    for credential in (("alice", PASSWORD), ("ALICE", PASSWORD), ("\uff41lice", PASSWORD), ("alice", TOKEN), TOKEN):
        assert api.get("/alice", credential, environ_base=HERE).status_code == 200
    assert work(spent) == 0
    for _ in range(2):
        assert api.get("/alice", ("alice", WRONG)).status_code == 401
        assert work(spent) == 2**LEAST


def test_what_is_remembered_ends_with_what_is_stored(environment: Environment, make_api: MakeApi) -> None:
    """A change on one replica ends the old credential on all that remember it: 401 at their next request."""
    here, there = make_api(environment), make_api(environment)

    def let_in(auth: Credential) -> list[int]:
        return [api.get("/alice", auth).status_code for api in (here, there) for _ in range(2)]

    alice = here.add("alice", token=TOKEN)
    assert let_in(alice) == let_in(TOKEN) == let_in(("alice", TOKEN)) == [200] * 4
    here.put("/alice/update", {"password": "a new password"})
    assert [let_in(alice), let_in(TOKEN), let_in(("alice", "a new password"))] == [[401] * 4, [200] * 4, [200] * 4]
    here.put("/alice/update", {"disabled": True})
    assert [let_in(("alice", "a new password")), let_in(TOKEN), let_in(("alice", TOKEN))] == [[401] * 4] * 3
    here.put("/alice/update", {"disabled": False})
    assert [let_in(("alice", "a new password")), let_in(TOKEN)] == [[200] * 4] * 2
    fresh = here.post("/alice/refresh").get_json()["token"]
    assert [let_in(TOKEN), let_in(("alice", TOKEN)), let_in(("alice", fresh)), let_in(fresh)] == (
        [[401] * 4] * 2 + [[200] * 4] * 2
    )
    here.delete("/alice")
    assert [let_in(("alice", "a new password")), let_in(fresh), let_in(("alice", fresh))] == [[401] * 4] * 3
    here.add("alice", password="yet another password")
    assert [let_in(("alice", "a new password")), let_in(fresh), let_in(("alice", fresh))] == [[401] * 4] * 3
    here.put("/alice/update", {"password": "a new password"})
    assert let_in(("alice", "a new password")) == [200] * 4


def test_what_is_remembered_is_one_users(sqlite_api: Api, spent: list[int]) -> None:
    """A remembered password opens its own user alone: not one of the same password once, nor of a similar name."""
    sqlite_api.add("ab", password="cdefghij")
    sqlite_api.add("abc", password="another password")
    sqlite_api.add("abcdefghij", password="another password")
    assert remembered(sqlite_api, "/ab", ("ab", "cdefghij"), spent)
    for credential in (("abc", "cdefghij"), ("abc", "defghij"), ("abcdefghij", ""), ("", "abcdefghij"), "abcdefghij"):
        assert sqlite_api.get("/abc", credential).status_code == 401
    assert remembered(sqlite_api, "/root", ADMIN_TOKEN, spent)
    for credential in (("", ADMIN_TOKEN), ("ab", ADMIN_TOKEN)):
        assert sqlite_api.get("/root", credential).status_code == 401
    assert sqlite_api.get("/root", ADMIN_TOKEN).status_code == 200


class Gated:
    """An application whose one turn to hash can be kept from it."""

    def __init__(self, api: Api, gate: HashingGate, pool: ThreadPoolExecutor) -> None:
        self.api = api
        self.gate = gate
        self._pool = pool

    def get(self, auth: Credential, address: str) -> TestResponse:
        return self.api.get("/alice", auth, environ_base={"REMOTE_ADDR": address})

    def begin(self, auth: Credential, address: str, *, waiting: int) -> "Future[TestResponse]":
        """Start a login, and return when so many wait for their turn."""
        login = self._pool.submit(self.get, auth, address)
        until(lambda: len(self.gate._logins) == waiting, "the login to wait")
        return login


@pytest.fixture
def gated(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gated]:
    """An application with one turn to hash, and two places to wait for it."""
    monkeypatch.setattr(hashing_gate, "LOGINS_WAITING", 2)
    monkeypatch.setattr(hashing_gate, "LOGIN_PATIENCE", 60.0)
    gate = HashingGate(1)
    with opened_api(environment, gate=gate, clock=Clock()) as api, ThreadPoolExecutor(8) as pool:
        api.add("alice", token=TOKEN)
        api.add("bob")
        yield Gated(api, gate, pool)


def test_a_full_queue_is_a_503(gated: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    """First logins that find the queue full, or wait too long, get 503 with Retry-After, and count as no failure."""
    alice, carol = ("alice", PASSWORD), gated.api.add("carol", "manager")
    assert gated.get(ADMIN, "10.0.0.1").status_code == 200
    with gated.gate.login("held"):
        waiting = [gated.begin(alice, "10.1.0.1", waiting=1), gated.begin(("bob", PASSWORD), "10.2.0.1", waiting=2)]
        for auth, address in ((carol, "10.3.0.1"), (("nobody", WRONG), "10.4.0.1")):
            answer = gated.get(auth, address)
            assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
            assert int(answer.headers["Retry-After"]) >= 1
        assert [gated.get(known, "10.0.0.1").status_code for known in (ADMIN, TOKEN, ADMIN_TOKEN)] == [200] * 3
    assert [login.result().status_code for login in waiting] == [200, 403]
    with gated.gate.login("held"):
        monkeypatch.setattr(hashing_gate, "LOGIN_PATIENCE", 0.05)
        assert gated.get(("carol", WRONG), "10.3.0.1").status_code == 503
    assert gated.get(carol, "10.3.0.1").status_code == 200


def test_one_network_cannot_fill_the_queue(gated: Gated) -> None:
    """Who comes from another network takes the place of the last of the one that fills the queue, and goes first."""
    with gated.gate.login("10.1.0.0/16"):
        flood = [gated.begin((f"name{n}", WRONG), f"10.1.0.{n + 1}", waiting=n + 1) for n in range(2)]
        good = gated.begin(("alice", PASSWORD), "10.2.0.1", waiting=2)
        assert flood[1].result().status_code == 503
        assert gated.get(("name2", WRONG), "10.1.0.3").status_code == 503
    assert [good.result().status_code, flood[0].result().status_code] == [200, 401]


def test_simultaneous_logins_share_one_check(gated: Gated, spent: list[int]) -> None:
    """The same credential is checked once for all who present it at once; a right one and a wrong one alike."""
    for auth, statuses in ((("alice", PASSWORD), [200] * 6), (("bob", WRONG), [401] * 6)):
        with gated.gate.login("held"):
            first = gated.begin(auth, "10.1.0.1", waiting=1)
            shared = gated.api.core.authenticator._passwords._shared
            others = [
                gated._pool.submit(gated.get, auth, address) for address in ("10.1.0.1", "10.1.0.1", *OTHER_ADDRESSES)
            ]
            until(lambda: shared._waiting == len(others), "the others to wait")  # noqa: B023 - it is called at once
            spent.clear()
        assert [login.result().status_code for login in (first, *others)] == statuses
        assert work(spent) == 2**LEAST
    assert [gated.get(("bob", PASSWORD), address).status_code for address in ("10.1.0.1", *OTHER_ADDRESSES)] == [
        429
    ] * 4


def test_guesses_beside_one_that_is_checked_tell_nothing(gated: Gated) -> None:
    """Who guesses by the dozen while a first guess waits to be hashed is not told which one somebody uses there."""
    assert gated.get(("alice", PASSWORD), "10.1.0.1").status_code == 200
    with gated.gate.login("held"):
        first = gated.begin(("alice", WRONG), "10.1.0.1", waiting=1)
        assert gated.get(("alice", PASSWORD), "10.1.0.1").status_code == 200
        guesses = [gated.get(("alice", f"guess {number}"), "10.1.0.1").status_code for number in range(30)]
        assert guesses == [429] * 30
        assert gated.get(("alice", PASSWORD), "10.1.0.1").status_code == 429
    assert first.result().status_code == 401


def test_an_address_has_one_guess_at_a_time(gated: Gated, spent: list[int]) -> None:
    """While one password for a name is being checked, another one for it from the same address gets 429 at once."""
    with gated.gate.login("held"):
        guess = gated.begin(("alice", WRONG), "10.1.0.1", waiting=1)
        for other in (("alice", PASSWORD), ("Alice", "another guess")):
            assert gated.get(other, "10.1.0.1").status_code == 429
        right = gated.begin(("alice", PASSWORD), "10.2.0.1", waiting=2)
        spent.clear()
    assert [guess.result().status_code, right.result().status_code] == [401, 200]
    assert work(spent) == 2 * 2**LEAST
