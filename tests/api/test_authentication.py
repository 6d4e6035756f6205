"""What opens the door, and that nothing else does."""

from base64 import b64encode

import pytest

from models.storage.sqlite.store import SqliteStore
from tests.api.conftest import PASSWORD, Api, authorization
from tests.databases import ADMIN, ADMIN_TOKEN

BASIC = 'Basic realm="Doorman", charset="UTF-8"'


def header(value: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": value}}


def basic(text: bytes) -> str:
    return "Basic " + b64encode(text).decode()


def test_a_refusal_is_a_challenge_and_a_problem(api: Api) -> None:
    """401 carries the Basic challenge with its charset, and a problem document."""
    answer = api.get("", None)
    assert answer.status_code == 401
    assert answer.headers.getlist("WWW-Authenticate") == [BASIC]
    assert answer.content_type == "application/problem+json"
    assert answer.get_json().keys() == {"type", "title", "status", "detail"}


def test_a_failed_bearer_is_challenged_for_both_schemes(api: Api) -> None:
    """A refused Bearer token names ``invalid_token`` (RFC 6750) and still offers Basic first."""
    challenges = api.get("", "no-such-token-at-all").headers.getlist("WWW-Authenticate")
    assert challenges == [BASIC, 'Bearer realm="Doorman", error="invalid_token"']


def test_every_way_of_being_wrong_has_one_answer(api: Api) -> None:
    """Unknown user, wrong password, disabled user, OAuth user and impossible name or password cannot be told apart."""
    api.add("alice")
    api.add("disabled", disabled=True, token="the-disabled-users-token")
    api.post("/oauth?oauth=1", {"token": "token-of-the-oauth-user"})
    attempts = [
        ("nobody", PASSWORD),
        ("alice", "wrong password"),
        ("alice", ""),
        ("", ""),
        ("disabled", PASSWORD),
        ("disabled", "the-disabled-users-token"),
        ("oauth", PASSWORD),
        ("alice", "a" * 73),
        ("alice", PASSWORD + "\0"),
        ("a b", PASSWORD),
        ("a" * 3000, "b" * 3000),
    ]
    answers = [api.get("", attempt) for attempt in attempts]
    assert {(answer.status_code, answer.data, answer.headers["WWW-Authenticate"]) for answer in answers} == {
        (401, api.get("", None).data, BASIC)
    }
    assert api.get("", "the-disabled-users-token").status_code == 401


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        authorization(ADMIN) + "!",
        authorization(ADMIN).rstrip("=") + "==.",
        "Basic cm9vdA==",  # no colon
        "Basic \xe9\xe9",
        basic("root:pässword".encode("latin-1")),
        "Digest " + authorization(ADMIN)[6:],
        authorization(ADMIN)[6:],
        f"Basic {authorization(ADMIN)[6:]}, Basic {authorization(ADMIN)[6:]}",
        f"Bearer {ADMIN_TOKEN} {ADMIN_TOKEN}",
        f"Bearer {ADMIN_TOKEN}é",
        f"Token {ADMIN_TOKEN}",
        ADMIN_TOKEN,
        "Bearer " + "a" * 5000,
    ],
)
def test_malformed_headers_are_refused(sqlite_api: Api, value: str) -> None:
    """An ``Authorization`` header that is not exactly one Basic or Bearer credential answers 401, never 5xx."""
    assert sqlite_api.get("", None, **header(value)).status_code == 401


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_schemes_have_no_case(sqlite_api: Api, scheme: str) -> None:
    """The scheme's case does not matter (RFC 9110, 11.1)."""
    assert sqlite_api.get("", None, **header(scheme + authorization(ADMIN)[5:])).status_code == 200
    assert sqlite_api.get("", None, **header(f"bEaReR {ADMIN_TOKEN}")).status_code == 200


def test_passwords_may_hold_colons_and_any_script(sqlite_api: Api) -> None:
    """The first colon ends the user name; credentials are UTF-8, and compared in normal form (RFC 7617, RFC 8265)."""
    composed, decomposed = "p\u00e4ss:w\u00f6rd:\u65e5\u672c", "pa\u0308ss:wo\u0308rd:\u65e5\u672c"
    sqlite_api.add("j\u00fcrgen", password=composed)
    assert sqlite_api.get("/j%C3%BCrgen", ("j\u00fcrgen", composed)).status_code == 200
    assert sqlite_api.get("/j%C3%BCrgen", ("ju\u0308rgen", decomposed)).status_code == 200
    assert sqlite_api.get("/j%C3%BCrgen", ("J\u00dcRGEN", decomposed)).status_code == 200


def test_a_password_of_72_bytes_counts_to_its_last(sqlite_api: Api) -> None:
    """Passwords that differ in their 72nd byte differ; nothing is cut off at setting or at login."""
    password = "a" * 71
    sqlite_api.add("alice", password=password + "b")
    assert sqlite_api.get("/alice", ("alice", password + "b")).status_code == 200
    for wrong in (password + "c", password, password + "bb"):
        assert sqlite_api.get("/alice", ("alice", wrong)).status_code == 401


def test_ones_token_is_not_anothers_password(sqlite_api: Api) -> None:
    """A token in the password's place opens its own user alone."""
    sqlite_api.add("alice", token="a-token-of-mine-1")
    assert sqlite_api.get("", ("root", "a-token-of-mine-1")).status_code == 401
    assert sqlite_api.get("", ("alice", ADMIN_TOKEN)).status_code == 401


def test_stored_hashes_are_no_credentials(sqlite_api: Api) -> None:
    """What the API shows of a user opens nothing."""
    sqlite_api.add("alice")
    shown = sqlite_api.get("/alice").get_json()
    for value in (shown["password"], shown["token"]):
        assert sqlite_api.get("/alice", ("alice", value)).status_code == 401
        assert sqlite_api.get("/alice", None, **header(f"Bearer {value}")).status_code == 401


def test_the_first_admins_token_works(api: Api) -> None:
    """``AUTH_TOKEN`` is the first admin's API token."""
    assert api.get("", ADMIN_TOKEN).status_code == 200
    assert api.get("", ("root", ADMIN_TOKEN)).status_code == 200


def test_disabling_ends_every_credential_until_enabled_again(api: Api) -> None:
    """A disabled user is refused by password and token from the next request on, and keeps both for later."""
    alice = api.add("alice", token="a-token-of-mine-1")
    api.put("/alice/update", {"disabled": True})
    assert [api.get("/alice", credential).status_code for credential in (alice, "a-token-of-mine-1")] == [401, 401]
    api.put("/alice/update", {"disabled": False})
    assert [api.get("/alice", credential).status_code for credential in (alice, "a-token-of-mine-1")] == [200, 200]


def test_a_new_account_of_an_old_name_is_another(api: Api) -> None:
    """Deleting and creating a user again leaves nothing of the old credentials."""
    alice = api.add("alice", token="a-token-of-mine-1")
    etag = api.get("/alice").headers["ETag"]
    api.delete("/alice")
    api.add("alice", password="another password")
    assert api.get("/alice", alice).status_code == 401
    assert api.get("/alice", "a-token-of-mine-1").status_code == 401
    assert api.get("/alice").headers["ETag"] != etag


@pytest.mark.parametrize("column", ["user_group = 'boss'", "token_digests = 'x'", "token_digests = '[1]'"])
def test_a_user_that_another_program_spoiled_is_refused_as_if_wrong(
    sqlite_api: Api, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who cannot be read cannot log in, is not told apart from who is not there, and stands in the log."""
    alice = sqlite_api.add("alice", token="a-token-of-mine-1")
    store = sqlite_api.core.store
    assert isinstance(store, SqliteStore)
    with store._database.writing() as connection:
        connection.execute(f"UPDATE users SET {column} WHERE name_key = 'alice'")
    answers = [sqlite_api.get("/alice", credential) for credential in (alice, "a-token-of-mine-1", ("nobody", "x"))]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert answers[0].data == answers[2].data
    assert "is not as Doorman writes users" in caplog.text
    assert sqlite_api.get("/alice").status_code == 500
    assert sqlite_api.names() == ["alice", "root"]
