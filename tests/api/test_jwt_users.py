"""``/users``: JSON Web Tokens, groups and vouched-for OAuth logins, as the contract has them."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from werkzeug.test import TestResponse

from tests.api.conftest import PASSWORD, Api, authorization
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, ADMIN_TOKEN

DAY = 86_400.0
MIKE = {"username": "mike", "name": "mike wazowski", "password": "mike mike mike"}
UNAUTHORIZED, NOT_ADMIN = (401, "Unauthorized"), (403, "Unauthorized")


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def post(api: Api, path: str, user: object, auth: str | None = None, wrapper: str = "user") -> TestResponse:
    headers = {"Authorization": auth} if auth is not None else {}
    return api.ask(f"/users/{path}", {wrapper: user}, headers=headers)


def log_in(api: Api, user_name: str = "root", password: str = ADMIN[1]) -> str:
    """Return a token of the user's."""
    answer = post(api, "login", {"username": user_name, "password": password})
    assert answer.status_code == 200, answer.text
    token: str = answer.get_json()["user"]["token"]
    return token


def admin(api: Api) -> str:
    return f"Token {log_in(api)}"


def claims_of(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return claims


def opens(api: Api, token: str) -> bool:
    """Tell whether the token is an admin's who may change groups, without changing one."""
    status, body = told(post(api, "permission", {"permission": "none"}, f"Token {token}"))
    assert (status, body) in {(400, "Invalid New Permission."), UNAUTHORIZED}
    return status == 400


@pytest.mark.parametrize("group", ["noob", "manager", "admin"])
def test_an_admin_makes_users(api: Api, group: str) -> None:
    """Of each group; the answer shows them, and they log in on every surface."""
    answer = post(api, group, MIKE, admin(api))
    shown = {"username": "mike", "name": "mike wazowski", "oauth": 0, "user_group": group}
    assert told(answer) == (200, {"user": shown})
    logged_in = post(api, "login", {"username": "mike", "password": "mike mike mike"}).get_json()["user"]
    assert logged_in == shown | {"token": logged_in["token"]}
    assert api.get("/mike", ("mike", "mike mike mike")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"name": "", "password": None}, "Name, Password cannot be blank."),
        ({"username": " ", "name": None, "password": ""}, "Username, Name, Password cannot be blank."),
        ({"username": 5}, "Username cannot be blank."),
        ({"name": "mike <b>"}, "Invalid characters used in name"),
        ({"name": "mike 2"}, "Invalid characters used in name"),
        ({"name": "mike_w"}, "Invalid characters used in name"),
        ({"name": "½²Ⅷ①"}, "Invalid characters used in name"),
        ({"name": "\u0301"}, "Invalid characters used in name"),
        ({"name": "..."}, "Invalid characters used in name"),
        ({"name": "x" * 71}, "Username or name is too long"),
        ({"username": "x" * 71}, "Username or name is too long"),
        ({"username": "root"}, "Username is already registered"),
        ({"username": "ROOT"}, "Username is already registered"),
        ({"username": "mi ke"}, "Username: It may not contain spaces."),
        ({"password": "short"}, "Password: It must have at least 8 characters."),
    ],
)
def test_what_cannot_be_made(sqlite_api: Api, changes: dict[str, Any], refusal: str) -> None:
    """Each rule is told as the contract has it, and nobody is made."""
    assert told(post(sqlite_api, "noob", MIKE | changes, admin(sqlite_api))) == (422, refusal)
    assert sqlite_api.names() == ["root"]


@pytest.mark.parametrize("name", ["José María", "O'Neill-Smith Jr.", "李小龍", "Зоя", "नमस्ते"])
def test_names_of_any_script_are_valid(sqlite_api: Api, name: str) -> None:
    """Letters and marks of any script, spaces, dots, apostrophes and hyphens."""
    assert post(sqlite_api, "noob", MIKE | {"name": name}, admin(sqlite_api)).get_json()["user"]["name"] == name


def test_only_admins_make_and_promote(sqlite_api: Api) -> None:
    """Nobody else does: not anonymously, as the original let them, nor as a manager or noob."""
    for group in ("noob", "manager"):
        name, password = sqlite_api.add(f"a-{group}", group)
        token = f"Bearer {log_in(sqlite_api, name, password)}"
        for path in ("admin", "manager", "noob", "permission"):
            assert told(post(sqlite_api, path, MIKE, token)) == NOT_ADMIN
    for auth in (
        None,
        "",
        "Token",
        "Token x.y.z",
        "Bearer wrong-token-0123456789",
        authorization(("root", "wrong one")),
    ):
        for path in ("admin", "manager", "noob", "permission"):
            assert told(post(sqlite_api, path, MIKE, auth)) == UNAUTHORIZED
    assert sqlite_api.names() == ["a-manager", "a-noob", "root"]


def test_passwords_and_api_tokens_open_it_too(sqlite_api: Api) -> None:
    """An admin may come by Basic, by its API token, or by a JSON Web Token in either scheme."""
    token = log_in(sqlite_api)
    credentials = [authorization(ADMIN), authorization(ADMIN_TOKEN), f"Token {token}", f"Bearer {token}"]
    for number, auth in enumerate(credentials):
        assert post(sqlite_api, "noob", MIKE | {"username": f"user{number}"}, auth).status_code == 200


def test_wrong_logins_are_told_alike(api: Api) -> None:
    """An unknown user, a wrong password, a disabled and an OAuth user, and an API token in its place."""
    api.add("gone", disabled=True)
    assert api.post("/ghost?oauth=1", {"user_group": "noob"}).status_code == 200
    for name, password in (
        ("nobody", PASSWORD),
        ("root", "wrong password"),
        ("gone", PASSWORD),
        ("ghost", PASSWORD),
        ("root", ADMIN_TOKEN),
    ):
        answer = post(api, "login", {"username": name, "password": password})
        assert told(answer) == (422, "E-mail or password is incorrect")


def test_what_a_token_says(api: Api) -> None:
    """Its claims are the contract's, and anybody verifies it with the keys that are published."""
    token = log_in(api)
    published = api.ask("/.well-known/jwks.json", method="GET")
    assert published.headers["Cache-Control"] == "public, max-age=300"
    keys = published.get_json()
    assert all("d" not in key and key["alg"] == "ES256" and key["use"] == "sig" for key in keys["keys"])
    claims = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).claims
    assert claims.keys() == {"iss", "sub", "id", "name", "user_group", "iat", "exp", "jti"}
    user = api.core.accounts.get("root")
    assert (claims["sub"], claims["id"], claims["user_group"], claims["iss"]) == (user.id, user.id, "admin", "doorman")
    assert claims["exp"] - claims["iat"] == 7 * DAY


def test_a_token_ends(open_api: Open, clock: Clock) -> None:
    """Seven days after the login, used or not, on every replica."""
    api, replica = open_api(), open_api()
    token = log_in(api)
    clock.advance(7 * DAY - 2)
    assert opens(api, token)
    assert opens(replica, token)
    clock.advance(2)
    assert not opens(api, token)
    assert not opens(replica, token)


def test_a_token_that_is_not_used_ends_sooner(open_api: Open, clock: Clock) -> None:
    """After SESSION_IDLE_DAYS, as any session does; what it says of its own end is the latest that there is."""
    api = open_api(SESSION_IDLE_DAYS="2")
    used, unused = log_in(api), log_in(api)
    assert claims_of(used)["exp"] - claims_of(used)["iat"] == 7 * DAY
    clock.advance(1.5 * DAY)
    assert opens(api, used)
    api.core.uses.flush()
    clock.advance(DAY)
    assert opens(api, used)
    assert not opens(api, unused)


@pytest.mark.parametrize("end", ["password", "disabled", "session", "sessions", "deleted"])
def test_a_token_is_revoked_everywhere(open_api: Open, end: str) -> None:
    """By a new password, by disabling or deleting its user, and as the session that it is, one or all."""
    api, replica = open_api(), open_api()
    auth = api.add("second", "admin")
    token = log_in(replica, *auth)
    assert opens(api, token)
    [session] = api.get("/second/sessions").get_json()["sessions"]
    assert session["kind"] == "token"
    ends = {
        "password": lambda: api.put("/second/update", {"password": "another password"}),
        "disabled": lambda: api.put("/second/update", {"disabled": True}),
        "session": lambda: api.delete(f"/second/sessions/{session['id']}"),
        "sessions": lambda: api.delete("/second/sessions"),
        "deleted": lambda: api.delete("/second"),
    }
    assert ends[end]().status_code == 200
    assert not opens(replica, token)
    assert not opens(api, token)


def test_the_group_is_the_databases(api: Api) -> None:
    """Who was an admin when the token was made is none any more at the next request."""
    auth = api.add("second", "admin")
    token = log_in(api, *auth)
    assert api.put("/second/update", {"user_group": "noob"}).status_code == 200
    assert claims_of(token)["user_group"] == "admin"
    assert told(post(api, "noob", MIKE, f"Token {token}")) == NOT_ADMIN


def encoded(value: bytes | dict[str, Any]) -> str:
    """Write a part of a token."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def forged(token: str, **changes: Any) -> list[str]:
    """Return tokens like this one that the service has not signed."""
    header, claims, signature = token.split(".")
    key_id = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    said = claims_of(token) | changes
    other = ECKey.generate_key("P-256", {"kid": key_id})
    return [
        jwt.encode({"alg": "ES256", "kid": key_id}, said, other),
        jwt.encode({"alg": "ES256", "kid": key_id, "jwk": other.as_dict(private=False)}, said, other),
        jwt.encode({"alg": "ES256", "kid": key_id, "jku": "http://127.0.0.1:1/jwks"}, said, other),
        f"{header}.{encoded(said)}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{encoded({'alg': 'none', 'kid': key_id})}.{claims}.",
        f"{encoded({'alg': 'None', 'kid': key_id})}.{claims}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'unknown-key-0123456789'})}.{claims}.{signature}",
        f"{encoded({'alg': 'ES256'})}.{claims}.{signature}",
        *(f"{encoded(odd)}.{claims}.{signature}" for odd in (b'["alg"]', b'"alg"', b"5", b"null", b"\xff")),
        f"{token}x",
        f" {token}",
    ]


def test_forgeries_are_refused(api: Api) -> None:
    """Another's signature, none, ``alg: none``, an unknown key, one it brings along, and HMAC with the public key."""
    token = log_in(api)
    assert opens(api, token)
    [public] = api.ask("/.well-known/jwks.json", method="GET").get_json()["keys"]
    pem = ECKey.import_key(public).as_pem(private=False)
    signed = f"{encoded({'alg': 'HS256', 'kid': public['kid']})}.{token.split('.')[1]}"
    confused = f"{signed}.{encoded(hmac.new(pem, signed.encode(), 'sha256').digest())}"
    for forgery in [*forged(token), *forged(token, user_group="admin", exp=2**40), confused]:
        if forgery.strip() != token:
            assert not opens(api, forgery)
    assert opens(api, token)


def test_another_issuers_token_is_refused(open_api: Open) -> None:
    """Also where the key is known, since the store is the same."""
    token = log_in(open_api())
    assert not opens(open_api(TOKEN_ISSUER="another"), token)


def test_a_token_opens_only_what_it_is_for(api: Api) -> None:
    """v2, the sockets and the logout of sessions take none; neither do these routes take what opens those."""
    token = log_in(api)
    jti = claims_of(token)["jti"]
    assert api.get("/root", token).status_code == 401
    assert api.get("/root", ("root", token)).status_code == 401
    for secret in (token, jti):
        assert api.ask(f"/logout.json?s={secret}").status_code == 401
        assert api.ask("/user-auth/delete", {}, headers={"X-USER-KEY": secret}).status_code == 401
    body = {"username": "root", "password": ADMIN[1]}
    session_id = api.ask("/login.json", body).get_json()["id"]
    key = api.ask("/user-auth/login", body).get_json()["token"]
    for secret in (session_id, key, jti):
        for scheme in ("Token", "Bearer"):
            assert told(post(api, "noob", MIKE, f"{scheme} {secret}")) == UNAUTHORIZED


def test_a_vouched_for_user_logs_in(api: Api) -> None:
    """An unknown one is made, a noob with the name; a known one keeps its name and group; its token is its own."""
    body = {"netid": "hy103", "name": "Bill Yu"}
    for wrapper in ("user", "info"):
        answer = post(api, "login/oauth", body, authorization(ADMIN), wrapper)
        user = answer.get_json()["user"]
        shown = {"username": "hy103", "name": "Bill Yu", "oauth": 1, "user_group": "noob"}
        assert user == shown | {"token": user["token"]}
        assert told(post(api, "noob", MIKE, f"Token {user['token']}")) == NOT_ADMIN
    assert api.put("/hy103/update?oauth=1", {"user_group": "manager"}).status_code == 200
    answer = post(api, "login/oauth", {"netid": "hy103", "name": "Another"}, authorization(ADMIN_TOKEN))
    assert answer.get_json()["user"].items() >= {"name": "Bill Yu", "user_group": "manager"}.items()
    assert told(post(api, "login", {"username": "hy103", "password": PASSWORD})) == (
        422,
        "E-mail or password is incorrect",
    )


def test_who_is_vouched_for_is_meant_to_the_letter(api: Api) -> None:
    """Who is called almost as another, in another case or in wide letters, is not let in as that one."""
    vouched = authorization(ADMIN)
    assert post(api, "login/oauth", {"netid": "Ann"}, vouched).status_code == 200
    taken = (422, "Username is already registered")
    for name in ("ann", "ANN"):
        assert told(post(api, "login/oauth", {"netid": name}, vouched)) == taken
    other_form = (422, "Username: It has characters that stand for others (RFC 8265).")
    for name in ("\uff21nn", "\uff22ob"):
        assert told(post(api, "login/oauth", {"netid": name}, vouched)) == other_form
    assert api.get("?oauth=1").get_json()["users"] == ["Ann"]


def test_nobody_logs_in_as_anybody(api: Api) -> None:
    """Without an admin's word an OAuth login is refused, as the original did not; a disabled user's is, too."""
    noob = api.add("noob")
    body = {"netid": "hy103", "name": "Bill Yu"}
    assert told(post(api, "login/oauth", body)) == UNAUTHORIZED
    assert told(post(api, "login/oauth", body, authorization(noob))) == NOT_ADMIN
    for net_id in (None, "", " ", 5):
        assert told(post(api, "login/oauth", {"netid": net_id}, admin(api))) == (400, "Netid cannot be blank.")
    assert told(post(api, "login/oauth", body, admin(api))) == NOT_ADMIN, "a token vouches for nobody"
    assert api.get("/hy103?oauth=1").get_json() == {"user_exists": False}
    assert post(api, "login/oauth", body, authorization(ADMIN)).status_code == 200
    assert api.put("/hy103/update?oauth=1", {"disabled": True}).status_code == 200
    assert told(post(api, "login/oauth", body, authorization(ADMIN))) == UNAUTHORIZED
    assert told(api.ask("/users/login/oauth", method="GET")) == (400, "No issuer is configured here.")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"name": "<b>"}, "Invalid characters used in name"),
        ({"name": 5}, "Name cannot be blank."),
        ({"netid": "x" * 71}, "Username or name is too long"),
        ({"netid": "a b"}, "Username: It may not contain spaces."),
    ],
)
def test_rules_for_names_hold_for_who_is_vouched_for(sqlite_api: Api, changes: dict[str, Any], refusal: str) -> None:
    """A new OAuth user's names are held to what others' are; without a name it has none."""
    body = {"netid": "hy103", "name": "Bill Yu"} | changes
    assert told(post(sqlite_api, "login/oauth", body, authorization(ADMIN))) == (422, refusal)
    answer = post(sqlite_api, "login/oauth", {"netid": "hy103"}, authorization(ADMIN))
    assert answer.get_json()["user"]["name"] is None


@pytest.mark.parametrize("name", [{}, [], False, 0, 5, ["Bill Yu"]])
def test_an_oauth_name_that_is_no_text_is_refused(sqlite_api: Api, name: object) -> None:
    """What is no text is nobody's name, whether the user is new or known, and whatever Python takes it for."""
    body = {"netid": "hy103"}
    for _ in range(2):
        refused = post(sqlite_api, "login/oauth", body | {"name": name}, authorization(ADMIN))
        assert told(refused) == (422, "Name cannot be blank.")
        assert post(sqlite_api, "login/oauth", body, authorization(ADMIN)).status_code == 200


def test_an_api_token_may_look_like_a_token(sqlite_api: Api) -> None:
    """One that a user has chosen to look like a JSON Web Token works here as it does elsewhere."""
    token = f"{encoded({'alg': 'a', 'kid': 'x'})}.e30.AAAA"
    assert sqlite_api.post("/odd", {"password": PASSWORD, "user_group": "admin", "token": token}).status_code == 200
    assert sqlite_api.get("", token).status_code == 200
    assert post(sqlite_api, "noob", MIKE, f"Bearer {token}").status_code == 200


@pytest.mark.parametrize("spelling", ["permission", "permissoin"])
@pytest.mark.parametrize("oauth", [0, 1])
def test_an_admin_changes_groups(sqlite_api: Api, spelling: str, oauth: int) -> None:
    """Of the one user of that name that ``oauth`` names."""
    sqlite_api.add("hy103")
    assert sqlite_api.post("/hy103?oauth=1", {"user_group": "noob"}).status_code == 200
    body = {"username": "hy103", "oauth": oauth, spelling: "manager"}
    assert told(post(sqlite_api, "permission", body, admin(sqlite_api))) == (200, "success")
    groups = [sqlite_api.core.accounts.get("hy103", kind).user_group for kind in (0, 1)]
    assert groups == (["noob", "manager"] if oauth else ["manager", "noob"])


@pytest.mark.parametrize(
    ("changes", "status", "refusal"),
    [
        ({"permission": "king"}, 400, "Invalid New Permission."),
        ({"permission": None}, 400, "Invalid New Permission."),
        ({"permission": ["admin"]}, 400, "Invalid New Permission."),
        ({"oauth": 2}, 400, "Use 0 and 1 for oauth value."),
        ({"oauth": True}, 400, "Use 0 and 1 for oauth value."),
        ({"oauth": 1.0}, 400, "Use 0 and 1 for oauth value."),
        ({"oauth": "1"}, 400, "Use 0 and 1 for oauth value."),
        ({"oauth": None}, 400, "Use 0 and 1 for oauth value."),
        ({"username": "nobody"}, 400, "User does not exist"),
        ({"oauth": 1}, 400, "User does not exist"),
        ({"username": "a/b"}, 400, "User does not exist"),
        ({"username": ".."}, 400, "User does not exist"),
        ({"username": ""}, 422, "Username cannot be blank."),
    ],
)
def test_what_group_cannot_be_given(sqlite_api: Api, changes: dict[str, Any], status: int, refusal: str) -> None:
    """Each is told as the contract has it."""
    body = {"username": "root", "oauth": 0, "permission": "noob"} | changes
    assert told(post(sqlite_api, "permission", body, admin(sqlite_api))) == (status, refusal)


def test_the_last_admin_keeps_its_group(api: Api) -> None:
    """Here as everywhere."""
    body = {"username": "root", "oauth": 0, "permission": "noob"}
    status, refusal = told(post(api, "permission", body, admin(api)))
    assert (status, type(refusal)) == (409, str)
    assert api.core.accounts.get("root").user_group == "admin"


@pytest.mark.parametrize("path", ["login", "noob", "permission", "login/oauth"])
def test_odd_bodies_are_strings_of_refusal(sqlite_api: Api, path: str) -> None:
    """What is not wrapped, no object or no JSON is refused in the surface's shape."""
    headers = {"Authorization": admin(sqlite_api)}
    for body, content_type in (
        ("{}", "application/json"),
        ('{"user": 5}', "application/json"),
        ('{"username": "x"}', "application/json"),
        ("[]", "application/json"),
        ("{", "application/json"),
        ("user=x", "application/x-www-form-urlencoded"),
    ):
        answer = sqlite_api.ask(f"/users/{path}", data=body, content_type=content_type, headers=headers)
        assert answer.status_code in {400, 415, 422}
        assert isinstance(answer.get_json(), str)
