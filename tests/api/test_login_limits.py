"""The limits on failed logins, as clients meet them: by address and user name, and by address. The clock stands."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from models.login_limiter import FREE_FAILURES_OF_ADDRESS
from tests.api.conftest import PASSWORD, Api, Credential
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, ADMIN_TOKEN, Environment, dump

HERE, THERE = "203.0.113.1", "203.0.113.2"
WRONG = "not the password"
TOKEN = "a-token-of-alice-1"


@pytest.fixture
def api(open_api: Open) -> Api:
    api = open_api()
    api.add("alice", token=TOKEN)
    api.add("bob")
    return api


def at(address: str, forwarded: str | None = None) -> dict[str, Any]:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return {"environ_base": {"REMOTE_ADDR": address}, "headers": headers}


def log_in(api: Api, auth: Credential, address: str = HERE, forwarded: str | None = None) -> int:
    """Return the status: 403 is as good as 200, since an answer about access tells that the caller is known."""
    status = api.get("", auth, **at(address, forwarded)).status_code
    return 200 if status == 403 else status


def fail(api: Api, number: int, address: str = HERE) -> list[int]:
    """Fail as often with names of nobody."""
    return [log_in(api, (f"nobody{count}", WRONG), address) for count in range(number)]


def seconds_to_wait(answer: TestResponse) -> int:
    """Return what a refusal asks for, once it is what every 429 must be."""
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    assert answer.get_json().keys() == {"type", "title", "status", "detail"}
    assert "WWW-Authenticate" not in answer.headers
    seconds = int(answer.headers["Retry-After"])
    assert seconds >= 1
    return seconds


def test_a_wrong_password_makes_its_name_wait_there(api: Api, clock: Clock) -> None:
    """After a wrong password any other for the name from there gets 429, the right one too, for half a second."""
    assert log_in(api, ("alice", WRONG)) == 401
    for secret in (WRONG, "another wrong one", PASSWORD, TOKEN):
        for name in ("alice", "ALICE", "\uff41lice"):
            assert seconds_to_wait(api.get("", (name, secret), **at(HERE))) == 1
    clock.advance(0.499)
    assert log_in(api, ("alice", PASSWORD)) == 429
    clock.advance(0.001)
    assert log_in(api, ("alice", PASSWORD)) == 200


def test_each_failure_doubles_the_wait(api: Api, clock: Clock) -> None:
    """The wait is 0.5 · 2ⁿ seconds, and at most a minute; a quarter of an hour without a failure is forgiveness."""
    for wait in (1, 1, 2, 4, 8, 16, 32, 60, 60):
        assert log_in(api, ("alice", WRONG)) == 401
        assert seconds_to_wait(api.get("", ("alice", WRONG), **at(HERE))) == wait
        clock.advance(wait)
    clock.advance(15 * 60)
    assert log_in(api, ("alice", WRONG)) == 401
    assert seconds_to_wait(api.get("", ("alice", WRONG), **at(HERE))) == 1


def test_a_success_forgives_nothing(api: Api, clock: Clock) -> None:
    """Who logs in as themselves between guesses at another's password waits as long as without."""
    for wait in (1, 1, 2, 4):
        assert log_in(api, ("alice", WRONG)) == 401
        assert log_in(api, ("bob", PASSWORD)) == 200
        assert seconds_to_wait(api.get("", ("alice", WRONG), **at(HERE))) == wait
        clock.advance(wait)


def test_what_is_remembered_passes(api: Api) -> None:
    """A password and a token that were right before are taken while their name, and even their address, has to wait."""
    known: list[Credential] = [("alice", PASSWORD), ("alice", TOKEN), TOKEN]
    assert [log_in(api, credential) for credential in known] == [200] * 3
    assert log_in(api, ("alice", WRONG)) == 401
    assert [log_in(api, credential) for credential in known] == [200] * 3
    fail(api, FREE_FAILURES_OF_ADDRESS)
    assert log_in(api, ("bob", PASSWORD)) == 429
    assert [log_in(api, credential) for credential in known] == [200] * 3


def test_nobody_is_locked_out_by_others(api: Api) -> None:
    """Failures for a name at an address let neither its user wait at another one, nor other users there."""
    assert [log_in(api, ("alice", WRONG)), log_in(api, ("alice", WRONG))] == [401, 429]
    assert log_in(api, ("alice", PASSWORD), THERE) == 200
    assert log_in(api, ("bob", PASSWORD)) == 200


def test_an_address_that_fails_for_many_names_waits_as_a_whole(api: Api, clock: Clock) -> None:
    """Twenty failures of an address are free; with the next one, whatever is not remembered there gets 429."""
    assert fail(api, FREE_FAILURES_OF_ADDRESS) == [401] * FREE_FAILURES_OF_ADDRESS
    assert log_in(api, ("bob", PASSWORD)) == 200
    assert log_in(api, ("one more", WRONG)) == 401
    unknown: list[Credential] = [("alice", PASSWORD), ("alice", TOKEN), TOKEN, ("alice", WRONG), "no-such-token-at-all"]
    for credential in unknown:
        assert seconds_to_wait(api.get("", credential, **at(HERE))) == 1
    assert log_in(api, ("bob", PASSWORD)) == 200
    assert log_in(api, ("alice", PASSWORD), THERE) == 200
    clock.advance(0.5)
    assert log_in(api, TOKEN) == 200


def test_wrong_tokens_count_by_address(api: Api) -> None:
    """A Bearer token names nobody: it counts for its address, which waits as a whole after twenty."""
    guesses = [log_in(api, f"no-such-token-{count}") for count in range(FREE_FAILURES_OF_ADDRESS + 3)]
    assert guesses == [401] * (FREE_FAILURES_OF_ADDRESS + 1) + [429] * 2
    assert [log_in(api, ("alice", PASSWORD)), log_in(api, TOKEN)] == [429] * 2
    assert [log_in(api, TOKEN, THERE), log_in(api, TOKEN)] == [200, 429]


def test_a_429_does_not_tell_who_exists(api: Api) -> None:
    """The refusal is the same for users who exist and who do not, may log in and may not, and for impossible names."""
    api.add("disabled", disabled=True)
    assert api.post("/oauth?oauth=1", {"user_group": "noob"}).status_code == 200
    names = ("alice", "nobody", "disabled", "oauth", "a b", "")
    assert [log_in(api, (name, WRONG)) for name in names] == [401] * len(names)
    answers = [api.get("", (name, PASSWORD), **at(HERE)) for name in names]
    assert {seconds_to_wait(answer) for answer in answers} == {1}
    for answer in answers:
        del answer.headers["X-Request-ID"]
    assert len({(answer.data, str(answer.headers)) for answer in answers}) == 1


def test_ipv6_addresses_of_one_network_are_one(api: Api) -> None:
    """An IPv6 address counts as its /64, and an IPv4 address in IPv6's clothes as itself."""
    assert log_in(api, ("alice", WRONG), "2001:db8::1") == 401
    assert log_in(api, ("alice", PASSWORD), "2001:db8::ffff:2") == 429
    assert log_in(api, ("bob", WRONG), f"::ffff:{HERE}") == 401
    assert log_in(api, ("bob", PASSWORD), HERE) == 429
    assert log_in(api, ("alice", PASSWORD), "2001:db8:0:1::1") == 200


def test_the_proxys_word_counts_where_it_is_trusted(api: Api, open_api: Open) -> None:
    """``X-Forwarded-For`` counts behind ``TRUSTED_PROXIES`` alone, and of it the last hop that is no trusted proxy."""
    assert log_in(api, ("alice", WRONG), "10.0.0.1", HERE) == 401
    assert log_in(api, ("alice", PASSWORD), "10.0.0.1", THERE) == 429
    assert log_in(api, ("alice", PASSWORD), HERE) == 200

    behind = open_api(TRUSTED_PROXIES="10.0.0.0/8")
    assert log_in(behind, ("bob", WRONG), "10.0.0.1", f"198.51.100.1, {HERE}, 10.0.0.2") == 401
    for claimed in (HERE, f"198.51.100.2, {HERE}", f"10.0.0.7, {HERE}:4711, 10.0.0.3"):
        assert log_in(behind, ("bob", PASSWORD), "10.0.0.9", claimed) == 429
    assert log_in(behind, ("bob", PASSWORD), HERE) == 429
    assert log_in(behind, ("bob", PASSWORD), "192.0.2.1", THERE) == 200
    assert log_in(behind, ("bob", WRONG), "192.0.2.1", HERE) == 401
    assert log_in(behind, ("bob", WRONG), "10.0.0.1", f"{HERE}, not an address") == 401


@pytest.mark.parametrize("create", [True, False], ids=["create", "update"])
def test_naming_anothers_token_is_a_failed_login(api: Api, clock: Clock, *, create: bool) -> None:
    """A token that another user has is answered 400, and counts: the next token that the caller names has to wait."""
    assert log_in(api, ADMIN) == 200

    def name(token: str) -> TestResponse:
        if create:
            return api.post("/carol", {"password": PASSWORD, "token": token}, **at(HERE))
        return api.put("/bob/update", {"token": token}, **at(HERE))

    for wait in (1, 1, 2, 4):
        answer = name(TOKEN)
        assert (answer.status_code, list(answer.get_json()["invalid_parameters"])) == (400, ["token"])
        assert seconds_to_wait(name(TOKEN)) == seconds_to_wait(name("a-token-that-is-free")) == wait
        assert log_in(api, ADMIN_TOKEN, THERE) == 200
        clock.advance(wait)
    assert name("a-token-that-is-free").status_code == 200
    assert api.get("/bob", ADMIN_TOKEN, **at(HERE)).status_code == 200


def test_a_caller_who_is_known_is_kept_from_nothing_else(api: Api) -> None:
    """Where failures count, callers who are known refresh tokens, change, create and delete as ever."""
    assert [log_in(api, ADMIN), log_in(api, ("alice", PASSWORD))] == [200] * 2
    log_in(api, ("alice", WRONG))
    log_in(api, (ADMIN[0], WRONG))
    fail(api, FREE_FAILURES_OF_ADDRESS)
    assert log_in(api, ("bob", PASSWORD)) == 429
    assert api.post("/alice/refresh", auth=("alice", PASSWORD), **at(HERE)).status_code == 200
    assert api.post("/alice/refresh", **at(HERE)).status_code == 200
    assert api.put("/alice/update", {"password": "a new password"}, **at(HERE)).status_code == 200
    assert api.post("/carol", {"password": PASSWORD}, **at(HERE)).status_code == 200
    assert api.delete("/carol", **at(HERE)).status_code == 200


def test_replicas_count_together(api: Api, open_api: Open, clock: Clock) -> None:
    """What fails on one replica has to wait on all of them, by name and by address; none needs to remember for that."""
    others = [open_api(), open_api()]
    for wait, replica in zip((1, 1, 2), (api, *others), strict=True):
        assert log_in(replica, ("alice", WRONG)) == 401
        for each in (api, *others):
            assert seconds_to_wait(each.get("", ("alice", PASSWORD), **at(HERE))) == wait
        clock.advance(wait)
    for count in range(FREE_FAILURES_OF_ADDRESS - 2):
        assert log_in(others[count % 2], f"no-such-token-{count}") == 401
    assert [log_in(replica, ("bob", PASSWORD)) for replica in (api, *others)] == [429] * 3


def test_counters_tell_nobody_who_tried_what(api: Api, environment: Environment, tmp_path: Path) -> None:
    """Neither names (people type passwords there) nor addresses nor passwords stand in the database's counters."""
    assert [log_in(api, ("canary-name", "canary-secret"), "203.0.113.77") for _ in range(2)] == [401, 429]
    log_in(api, "canary-bearer-token", "203.0.113.77")
    api.core.store.close()
    written = dump(environment, tmp_path)
    assert b"alice" in written
    for canary in (b"canary", b"203.0.113", b"nobody"):
        assert canary not in written
