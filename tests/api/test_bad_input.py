"""Bad input: each kind answers a 4xx in the contract's shape that names the rule, and nothing is stored."""

import json
from typing import Any

import pytest
from flask import Response
from werkzeug.test import TestResponse

from tests.api.conftest import PASSWORD, USERS, Api

NOT_JSON = "The body is not JSON."
NOT_A_FIELD = "It is not a field that can be given here."
NOT_A_STRING = "It must be a string."
LITTLE_ADDED = "It may not be the user name, or a word as likely, with only digits and signs added."


def send(api: Api, body: bytes, content_type: str | None = "application/json") -> list[TestResponse]:
    """Send the body to create and to update."""
    return [
        api.call("POST", f"{USERS}/new", data=body, content_type=content_type),
        api.call("PUT", f"{USERS}/root/update", data=body, content_type=content_type),
    ]


@pytest.fixture
def unchanged(sqlite_api: Api) -> Any:
    """The application, whose store must hold after the test exactly what it held before."""
    before = sqlite_api.core.accounts.get("root")
    yield sqlite_api
    assert sqlite_api.core.accounts.get("root") == before
    assert sqlite_api.names() == ["root"]


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b" { } "])
def test_nothing_given(unchanged: Api, body: bytes) -> None:
    """An empty or absent body and an empty object answer exactly ``{"missing_parameters": true}``."""
    for content_type in ("application/json", "application/json; charset=UTF-8", None):
        for answer in send(unchanged, body, content_type):
            assert (answer.status_code, answer.get_json()) == (400, {"missing_parameters": True})


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", NOT_JSON),
        (b"{'password': 'x'}", NOT_JSON),
        (b'{"password": "a"} {}', NOT_JSON),
        (b"\xef\xbb\xbf{}", NOT_JSON),
        ('{"password": "a"}'.encode("utf-16"), "The body is not UTF-8."),
        (b'{"password": "\xff\xfe"}', "The body is not UTF-8."),
        (b'{"password": "\xed\xa0\x80"}', "The body is not UTF-8."),
        (b'{"password": "a\\ud800"}', "The body has a lone surrogate, which is no character."),
        (b'{"\\udfff": "a"}', "The body has a lone surrogate, which is no character."),
        (b'{"password": NaN}', "The body is not JSON: NaN is no value of it."),
        (b'{"password": -Infinity}', "The body is not JSON: -Infinity is no value of it."),
        (b'{"password": "a", "password": "b"}', 'The body names "password" twice.'),
        (b'{"name": {"a": 1, "a": 2}}', 'The body names "a" twice.'),
        (b'{"password": "a\nb"}', NOT_JSON),
        (b"[]", "The body is not a JSON object."),
        (b"null", "The body is not a JSON object."),
        (b'"password"', "The body is not a JSON object."),
        (b"[" * 10_000 + b"]" * 10_000, "The body is nested too deeply."),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "The body is nested too deeply."),
        (b"1" * 10_000, "The body has a number of too many digits."),
        (b'{"password": ' + b"9" * 10_000 + b"}", "The body has a number of too many digits."),
        (b'{"password": 1e999999}', None),
    ],
)
def test_not_one_json_object(unchanged: Api, body: bytes, detail: str | None) -> None:
    """What is not exactly one JSON object in UTF-8 is refused with the reason, on create and update alike."""
    for answer in send(unchanged, body):
        assert answer.status_code == 400
        expected = {"missing_parameters": True, "detail": detail}
        assert answer.get_json() == (expected if detail else {"invalid_parameters": {"password": [NOT_A_STRING]}})


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
    ],
)
def test_other_content_types(unchanged: Api, content_type: str) -> None:
    """A body that calls itself anything but JSON in UTF-8 answers 415, before it is read as anything."""
    wrong_query = unchanged.call("POST", f"{USERS}/new?oauth=2", data=b"{", content_type=content_type)
    for answer in [*send(unchanged, b"{", content_type), wrong_query]:
        assert (answer.status_code, answer.content_type) == (415, "application/problem+json")


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("password", None, "It may not be null."),
        ("password", 12345678, NOT_A_STRING),
        ("password", ["a password"], NOT_A_STRING),
        ("password", {"$gt": ""}, NOT_A_STRING),
        ("password", True, NOT_A_STRING),
        ("password", "", "It may not be empty."),
        ("password", "seven77", "It must have at least 8 characters."),
        ("password", "a" * 73, "It may have at most 72 bytes in UTF-8 (the limit of bcrypt)."),
        ("password", "\u00e9" * 37, "It may have at most 72 bytes in UTF-8 (the limit of bcrypt)."),
        ("password", "a" * 60_000, "It may have at most 72 bytes in UTF-8 (the limit of bcrypt)."),
        ("password", "with a \0 in it", "It may not contain control characters."),
        ("password", "with a \t in it", "It may not contain control characters."),
        ("password", "        ", "It may not be one character, repeated."),
        ("password", "PassWord1", "It is one of the most common passwords."),
        ("password", "Doorman-2026!", LITTLE_ADDED),
        ("token", None, "It may not be null."),
        ("token", 1, NOT_A_STRING),
        ("token", "short-token-14", "It must have 15 to 72 characters."),
        ("token", "a" * 73, "It must have 15 to 72 characters."),
        ("token", "a" * 40, "It may not be one character, repeated."),
        ("token", "1qaz2wsx3edc4rfv", "It is one of the most common passwords."),
        ("token", "doorman-2026-11-20", LITTLE_ADDED),
        (
            "token",
            "a token with spaces",
            'It may contain ASCII letters, digits and "-._~+/", and "=" at the end (RFC 6750).',
        ),
        (
            "token",
            "t\u00f6ken-of-15-chars",
            'It may contain ASCII letters, digits and "-._~+/", and "=" at the end (RFC 6750).',
        ),
        (
            "token",
            "token-of-15-chars\n",
            'It may contain ASCII letters, digits and "-._~+/", and "=" at the end (RFC 6750).',
        ),
        ("name", 1, NOT_A_STRING),
        ("name", "", "It may not be empty."),
        ("name", "   ", "It may not be empty."),
        ("name", "a" * 71, "It may have at most 70 characters."),
        ("name", "a\0b", "It may not contain control characters."),
        ("email", False, NOT_A_STRING),
        ("email", "nobody", "It is not an e-mail address: An email address must have an @-sign."),
        ("user_group", "boss", "It must be one of: noob, manager, admin."),
        ("user_group", None, "It may not be null."),
        ("user_group", ["admin"], NOT_A_STRING),
        ("disabled", 1, "It must be true or false."),
        ("disabled", "true", "It must be true or false."),
        ("disabled", None, "It may not be null."),
        ("user_name", "other", NOT_A_FIELD),
        ("_id", "0" * 24, NOT_A_FIELD),
        ("password_hash", "x", NOT_A_FIELD),
        ("$set", {"user_group": "admin"}, NOT_A_FIELD),
        ("a.b", 1, NOT_A_FIELD),
        ("", 1, NOT_A_FIELD),
    ],
)
def test_each_field_has_its_rule(unchanged: Api, field: str, value: Any, rule: str) -> None:
    """A value of the wrong type or out of bounds, and an unknown field, answer 400 with the field and the rule."""
    for path, given in ((f"{USERS}/new", {"password": PASSWORD}), (f"{USERS}/root/update", {})):
        method = "POST" if path.endswith("new") else "PATCH"
        answer = unchanged.call(method, path, json={**given, field: value})
        assert (answer.status_code, answer.get_json()) == (400, {"invalid_parameters": {field: [rule]}})


def test_all_broken_rules_are_told_at_once(unchanged: Api) -> None:
    """One answer names every field that is wrong."""
    answer = unchanged.post("/a%20b", {"password": "short", "token": "short", "name": "", "email": "x"})
    assert answer.get_json()["invalid_parameters"].keys() == {"user_name", "password", "token", "name", "email"}


def test_a_password_is_required(unchanged: Api) -> None:
    """Creating without a password, though with other fields, names it."""
    answer = unchanged.post("/new", {"name": "New"})
    assert (answer.status_code, answer.get_json()) == (400, {"invalid_parameters": {"password": ["It is required."]}})


def test_the_user_name_is_no_password(unchanged: Api) -> None:
    """A password that is the user's own name, in any case, is refused."""
    answer = unchanged.post("/correcthorse", {"password": "CorrectHorse"})
    assert answer.get_json() == {"invalid_parameters": {"password": ["It may not be the user name."]}}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("a%3Ab", 'It may not contain ":" (RFC 7617).'),
        ("a%EF%BC%9Ab", 'It may not contain ":" (RFC 7617).'),
        ("a%EF%BC%8Fb", 'It may not contain "/".'),
        (".", 'It may not be "." or "..".'),
        ("..", 'It may not be "." or "..".'),
        ("%EF%BC%8E%EF%BC%8E", 'It may not be "." or "..".'),
        ("a%20b", "It may not contain spaces."),
        ("a%C2%A0b", "It contains a character that is not allowed (RFC 8265)."),
        ("a%00b", "It may not contain control characters."),
        ("a%0A", "It may not contain control characters."),
        ("a%7F", "It may not contain control characters."),
        ("a" * 129, "It may have at most 128 characters."),
        ("a" * 20_000, "It may have at most 128 characters."),
        ("1%D7%90", "Its right-to-left and left-to-right characters may not be mixed like this (RFC 5893)."),
        ("%FF", "It contains a character that is not allowed (RFC 8265)."),
        ("%ED%A0%80", "It contains a character that is not allowed (RFC 8265)."),
        ("a%E2%80%AEb", "It contains a character that is not allowed (RFC 8265)."),
        ("%E2%85%A3", "It contains a character that is not allowed (RFC 8265)."),
        ("%F0%9F%98%80", "It contains a character that is not allowed (RFC 8265)."),
    ],
)
def test_names_that_cannot_be_taken(unchanged: Api, path: str, rule: str) -> None:
    """What cannot be a user name answers 400 under ``user_name`` on every route that names a user."""
    expected = (400, {"invalid_parameters": {"user_name": [rule]}})
    body = {"password": PASSWORD}
    for method, suffix in (("POST", ""), ("GET", ""), ("DELETE", ""), ("PUT", "/update"), ("POST", "/refresh")):
        answer = unchanged.call(method, f"{USERS}/{path}{suffix}", json=body if suffix != "/refresh" else None)
        assert (answer.status_code, answer.get_json()) == expected, (method, suffix)


@pytest.mark.parametrize(
    "name", ["john@email.com", "50%25", "%3Cb%3E", "$gt", "a.b", "...", "\u65e5\u672c", "a'b--", "null"]
)
def test_names_that_only_look_dangerous(api: Api, name: str) -> None:
    """Names that PRECIS allows work on every route and store, whatever they would mean elsewhere."""
    assert api.post(f"/{name}", {"password": PASSWORD}).status_code == 200
    shown = api.get(f"/{name}").get_json()["user_name"]
    assert api.get(f"/{name}", (shown, PASSWORD)).status_code == 200
    assert api.put(f"/{name}/update", {"name": "Same"}).status_code == 200
    assert api.names() == sorted([shown, "root"])
    assert api.delete(f"/{name}").status_code == 200


@pytest.mark.parametrize("auth", ["admin", "nobody"])
def test_too_large_bodies(unchanged: Api, auth: str) -> None:
    """A body past 64 KiB answers 413 before anything else is checked, credentials included."""
    credential = ("nobody", "x") if auth == "nobody" else ("root", "correct-horse-battery")
    for size, status in ((64 * 1024 + 1, 413), (10_000_000, 413)):
        answer = unchanged.call("POST", f"{USERS}/new", credential, data=b" " * size, content_type="application/json")
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    full = unchanged.call("POST", f"{USERS}/new", data=b" " * 64 * 1024, content_type="application/json")
    assert full.get_json() == {"missing_parameters": True}


def test_errors_outside_the_contract_are_problems(sqlite_api: Api) -> None:
    """404 and 405 are RFC 9457 problem documents with type, title, status and detail."""
    for answer in (sqlite_api.call("GET", "/nowhere"), sqlite_api.call("POST", USERS)):
        body = json.loads(answer.data)
        assert answer.content_type == "application/problem+json"
        assert body == {
            "type": "about:blank",
            "title": body["title"],
            "status": answer.status_code,
            "detail": body["detail"],
        }


def test_a_crash_is_a_problem_without_a_trace(sqlite_api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody expected answers 500 with nothing of itself, and is logged without query or credentials."""

    def crash() -> Response:
        raise RuntimeError("inner workings")

    sqlite_api.app.add_url_rule("/crash", view_func=crash)
    answer = sqlite_api.call("GET", "/crash?token=canary-in-query")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "inner" not in answer.text
    assert "inner workings" in caplog.text
    assert "canary-in-query" not in caplog.text
