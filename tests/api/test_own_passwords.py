"""Passwords as their users have them: how they are changed, how exactly they are taken, and for how long they hold."""

from collections.abc import Callable

import pytest

from models.account_rules import Changes
from tests.api.conftest import PASSWORD, Api
from tests.api.cores import Clock, Open
from tests.databases import Environment

YEAR = 365 * 86_400.0


def opens(api: Api, password: str) -> bool:
    status = api.get("/joe", ("joe", password)).status_code
    assert status in {200, 401}
    return status == 200


def by_v2(api: Api) -> int:
    return api.put("/joe/update", {"password": "another password"}, ("joe", PASSWORD)).status_code


def by_socket(api: Api) -> int:
    key = api.ask("/user-auth/login", {"username": "joe", "password": PASSWORD}).get_json()["token"]
    return api.ask(f"/user-auth/update?user_key={key}", {"password": "another password"}).status_code


@pytest.mark.parametrize("change", [by_v2, by_socket])
def test_a_user_changes_its_own_password(api: Api, change: Callable[[Api], int]) -> None:
    """Without an admin; the old one opens nothing any more."""
    api.add("joe")
    assert change(api) == 200
    assert opens(api, "another password")
    assert not opens(api, PASSWORD)


def test_a_password_is_taken_as_it_is_typed(sqlite_api: Api) -> None:
    """In another case, without the spaces around it, or cut off, it is another one."""
    password = " Spaces and CASE count "
    sqlite_api.add("joe", password=password)
    others = [password.lower(), password.upper(), password.swapcase(), password.strip(), password[:-1], f"{password} "]
    assert not any(opens(sqlite_api, other) for other in others)
    assert opens(sqlite_api, password)


def test_a_password_of_64_characters_is_taken(sqlite_api: Api) -> None:
    """Of ASCII, since they are 64 bytes; of 72 bytes each counts."""
    password = "".join(chr(ord("!") + number) for number in range(64))
    sqlite_api.add("joe", password=password)
    assert opens(sqlite_api, password)
    assert not opens(sqlite_api, password[:-1] + "x")


def test_a_password_holds_until_it_is_changed(open_api: Open, clock: Clock) -> None:
    """Ten years later it opens the door of a process that has never seen it."""
    open_api().add("joe")
    clock.advance(10 * YEAR)
    assert opens(open_api(), PASSWORD)


def test_nothing_takes_a_passwords_place(
    sqlite_environment: Environment, make_api: Callable[[Environment], Api]
) -> None:
    """No field keeps a hint or a question, and no route answers one, or mails a password that was forgotten."""
    assert Changes.__annotations__.keys() == {
        "user_name",
        "password",
        "token",
        "name",
        "email",
        "user_group",
        "disabled",
    }
    words = ("hint", "question", "forgot", "recover", "remind", "reset", "verify-email", "magic", "otp")
    rules = [rule.rule for rule in make_api(sqlite_environment).app.url_map.iter_rules()]
    assert "/users/login" in rules
    assert not [rule for rule in rules if any(word in rule.lower() for word in words)]
