"""What happens at the same time: several threads over one application, and revocation while a hash is being made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from api.exchanges import by_command_line
from api.settings import Settings
from app import create_core
from models import compare_and_set
from models.errors import RevisionMismatchError
from tests.api.conftest import PASSWORD, Api
from tests.databases import ADMIN, ADMIN_TOKEN, Environment
from tests.storage.stores import find


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run the calls in as many threads, started together."""
    together = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_of_eight_creators_one_wins(api: Api) -> None:
    """Of 8 parallel creates of one name, in two spellings, one answers 200 and seven ``{"user_exists": true}``."""
    for round_ in range(5):
        names = [f"{'racer' if number % 2 else 'RACER'}{round_}" for number in range(8)]
        answers = at_once([partial(api.post, f"/{name}", {"password": PASSWORD}) for name in names])
        assert sorted(answer.status_code for answer in answers) == [200] + [403] * 7
        assert [answer.get_json() for answer in answers if answer.status_code == 403] == [{"user_exists": True}] * 7
    assert len(api.names()) == 1 + 5


def test_one_of_two_last_admins_remains(api: Api) -> None:
    """Of two admins who remove, demote or disable each other or themselves at once, one remains."""
    attempts: dict[str, Callable[[str, tuple[str, str]], Any]] = {
        "delete": lambda name, by: api.delete(f"/{name}", by),
        "demote": lambda name, by: api.put(f"/{name}/update", {"user_group": "noob"}, by),
        "disable": lambda name, by: api.put(f"/{name}/update", {"disabled": True}, by),
    }
    for attempt in attempts.values():
        for crosswise in (True, False):
            pair = [api.add("one", "admin"), api.add("two", "admin")]
            api.put("/root/update", {"user_group": "noob"}, pair[0])
            targets = ["two", "one"] if crosswise else ["one", "two"]
            answers = at_once([partial(attempt, target, by) for target, by in zip(targets, pair, strict=True)])
            best, other = sorted(answer.status_code for answer in answers)
            assert best == 200
            assert other in {401, 403, 409}
            left = [name for name in ("one", "two") if is_admin(api, name)]
            assert len(left) == 1
            survivor = next(user for user in pair if user[0] == left[0])
            api.put("/root/update", {"user_group": "admin"}, survivor)
            for name in ("one", "two"):
                api.delete(f"/{name}")


def is_admin(api: Api, name: str) -> bool:
    user = find(api.core.store, name)
    return user is not None and user.is_guarding_admin


def test_updates_without_if_match_are_all_kept(api: Api) -> None:
    """Parallel updates of different fields lose nothing: each is applied to the state that the one before left."""
    api.add("alice")
    changes = [{"name": "Alice"}, {"email": "a@example.com"}, {"user_group": "manager"}, {"password": "a new password"}]
    answers = at_once([partial(api.put, "/alice/update", change) for change in changes])
    assert {answer.status_code for answer in answers} == {200}
    user = api.core.accounts.get("alice")
    assert (user.name, user.email, user.user_group, user.revision) == ("Alice", "a@example.com", "manager", 5)
    assert api.get("/alice", ("alice", "a new password")).status_code == 200


def test_of_parallel_updates_with_if_match_one_wins(api: Api) -> None:
    """Of 8 updates that name the same revision one is applied, and seven answer 412."""
    api.add("alice")
    etag = {"If-Match": api.get("/alice").headers["ETag"]}
    answers = at_once([lambda: api.put("/alice/update", {"name": "Alice"}, headers=etag) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


@pytest.fixture
def during_hashing(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make something happen while the next hash is being made."""

    def arrange(event: Callable[[], object]) -> None:
        rules = api.core.accounts._rules
        hashed = rules.hashed

        def hashed_meanwhile(checked: Any, asked_by: str) -> Any:
            monkeypatch.undo()
            columns = hashed(checked, asked_by)
            event()
            return columns

        monkeypatch.setattr(rules, "hashed", hashed_meanwhile)

    return arrange


Arrange = Callable[[Callable[[], object]], None]


def test_a_password_changed_meanwhile_stops_its_own_update(api: Api, during_hashing: Arrange) -> None:
    """A thief whose update is being hashed while the password is changed gets 401, and has changed nothing."""
    alice = api.add("alice")
    during_hashing(lambda: api.put("/alice/update", {"password": "the rescue password"}))
    assert api.put("/alice/update", {"password": "the thief's password"}, alice).status_code == 401
    assert api.get("/alice", ("alice", "the rescue password")).status_code == 200
    assert api.get("/alice", ("alice", "the thief's password")).status_code == 401


def test_a_token_refreshed_meanwhile_stops_a_create(api: Api, during_hashing: Arrange) -> None:
    """An admin's token that is refreshed while its create is being hashed creates nobody."""
    during_hashing(lambda: api.post("/root/refresh"))
    assert api.post("/new", {"password": PASSWORD}, ADMIN_TOKEN).status_code == 401
    assert api.names() == ["root"]


def test_an_admin_demoted_meanwhile_changes_nobody(api: Api, during_hashing: Arrange) -> None:
    """An admin who is demoted, disabled or deleted while its update is being hashed does not finish it."""
    api.add("alice")
    for end in (
        lambda: api.put("/second/update", {"user_group": "manager"}),
        lambda: api.put("/second/update", {"disabled": True}),
        lambda: api.delete("/second"),
    ):
        second = api.add("second", "admin")
        during_hashing(end)
        assert api.put("/alice/update", {"password": "a new password"}, second).status_code == 401
        api.delete("/second")
    assert api.get("/alice", ("alice", PASSWORD)).status_code == 200


def test_a_user_deleted_meanwhile_is_not_brought_back(api: Api, during_hashing: Arrange) -> None:
    """An update that meets a deletion answers ``{"user_exists": false}`` and leaves the user deleted."""
    api.add("alice")
    during_hashing(lambda: api.delete("/alice"))
    answer = api.put("/alice/update", {"password": "a new password"})
    assert (answer.status_code, answer.get_json()) == (403, {"user_exists": False})
    assert api.names() == ["root"]


def test_several_first_starts_make_one_admin(environment: Environment, make_api: Callable[[Environment], Api]) -> None:
    """Processes that start at once over an empty store agree on one first admin."""
    names = [f"first{number}" for number in range(6)]
    settings = [Settings.from_env(environment | {"BASIC_AUTH_USER": name}) for name in names]
    cores = at_once([partial(create_core, one) for one in settings])
    api = make_api(environment)
    (created,) = (name for name in names if find(cores[0].store, name) is not None)
    assert api.get("", (created, ADMIN[1])).get_json() == {"users": [created]}
    for core in cores:
        core.store.close()


def test_a_change_that_never_gets_its_turn_is_given_up(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that others always overtake is answered 503, and does not hold its thread for ever."""

    def overtaken(*_: object) -> None:
        raise RevisionMismatchError

    monkeypatch.setattr(compare_and_set, "_PATIENCE", 0.05)
    monkeypatch.setattr(sqlite_api.core.store, "replace", overtaken)
    answer = sqlite_api.put("/root/update", {"name": "Root"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("action", ["update", "refresh", "delete"])
@pytest.mark.parametrize("by", ["the user", "an admin"])
def test_nobody_reaches_who_has_got_the_name_meanwhile(
    api: Api, during_hashing: Arrange, monkeypatch: pytest.MonkeyPatch, action: str, by: str
) -> None:
    """A user is renamed, and another one gets its name, after access was decided: the other one is left alone."""
    mallory = api.add("victim")
    accounts = api.core.accounts
    mallorys_id = accounts.get("victim").id

    def change_places() -> None:
        with by_command_line():
            accounts.update(None, "victim", {"user_name": "mallory"})
        api.add("victim", password="the victim's password")

    if action == "delete":  # which hashes nothing: it happens right before the write
        compare_and_set_user = accounts._compare_and_set

        def change_places_before(*values: Any) -> Any:
            monkeypatch.undo()
            change_places()
            return compare_and_set_user(*values)

        monkeypatch.setattr(accounts, "_compare_and_set", change_places_before)
    else:
        during_hashing(change_places)
    auth = mallory if by == "the user" else ADMIN
    calls: dict[str, Callable[[], Any]] = {
        "update": lambda: api.put("/victim/update", {"password": "mallory's password"}, auth),
        "refresh": lambda: api.post("/victim/refresh", auth=auth),
        "delete": lambda: api.delete("/victim", auth),
    }
    answer = calls[action]()
    monkeypatch.undo()
    assert answer.status_code == 200
    victim = accounts.get("victim")
    assert victim.id != mallorys_id
    assert (victim.revision, api.get("/victim", ("victim", "the victim's password")).status_code) == (1, 200)
    if action == "refresh":
        assert api.get("/victim", answer.get_json()["token"]).get_json() == {"access_allowed": False}
