"""OAuth logins by an ID token: what the issuer signs is taken once, and nothing else is taken at all."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import Api, authorization
from tests.api.cores import Clock, opened_api
from tests.api.issuers import CLIENT_ID, DISCOVERY, JWKS, SmallIssuer, new_key, running_issuer, signed, signed_with_text
from tests.certificates import make_certificate
from tests.databases import ADMIN, Environment

UNAUTHORIZED = (401, "Unauthorized")
MakeApi = Callable[[Environment], Api]


def present(api: Api, id_token: object, net_id: object = "hy103", wrapper: str = "user", **rest: Any) -> TestResponse:
    return api.ask("/users/login/oauth", {wrapper: {"netid": net_id, "id_token": id_token} | rest})


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def test_an_id_token_logs_in(oauth_api: Api, issuer: SmallIssuer) -> None:
    """A new user is a noob and has the name that was given; the token that is answered is the user's."""
    shown = told(present(oauth_api, issuer.token(), name="William Yu", wrapper="info"))
    user = shown[1]["user"]
    expected = {"username": "hy103", "name": "William Yu", "oauth": 1, "user_group": "noob", "token": user["token"]}
    assert shown == (200, {"user": expected})
    noob = oauth_api.ask("/users/permission", {"user": {}}, headers={"Authorization": f"Token {user['token']}"})
    assert told(noob) == (403, "Unauthorized")


def test_a_known_user_keeps_name_and_group(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Whatever the next token or body says."""
    assert present(oauth_api, issuer.token(nonce="1")).get_json()["user"]["name"] == "Bill Yu"
    promoted = {"user": {"username": "hy103", "oauth": 1, "permission": "manager"}}
    admin = {"Authorization": authorization(ADMIN)}
    assert told(oauth_api.ask("/users/permission", promoted, headers=admin)) == (200, "success")
    user = present(oauth_api, issuer.token(nonce="2", name="Another"), name="Another").get_json()["user"]
    assert (user["name"], user["user_group"]) == ("Bill Yu", "manager")


def test_no_ordinary_user_is_named_by_a_token(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Whoever the issuer calls as an admin is called here is somebody else: an OAuth user, and a noob."""
    user = present(oauth_api, issuer.token(sub="root"), "root").get_json()["user"]
    assert (user["oauth"], user["user_group"]) == (1, "noob")
    promoted = {"user": {"username": "root", "oauth": 1, "permission": "admin"}}
    answer = oauth_api.ask("/users/permission", promoted, headers={"Authorization": f"Token {user['token']}"})
    assert told(answer) == (403, "Unauthorized")
    assert oauth_api.get("/root").get_json()["user_name"] == "root"
    assert (oauth_api.names(), oauth_api.get("?oauth=1").get_json()["users"]) == (["root"], ["root"])


def test_each_token_is_taken_once(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Of simultaneous presentations one logs in, and none does later, even with the signature written otherwise."""
    token = issuer.token()
    with ThreadPoolExecutor(8) as pool:
        answers = [told(answer) for answer in pool.map(lambda _: present(oauth_api, token), range(8))]
    assert sorted(status for status, _ in answers) == [200] + [401] * 7
    oauth_api.core.audit_upkeep.flush()
    told_later = oauth_api.call("GET", "/api/v2/audit?subject=hy103&kind=authn_login_fail").get_json()["events"]
    assert [event["details"]["surfaces"] for event in told_later] == [["jwt"]] * 7  # each from an address of its own
    assert told(present(oauth_api, token)) == UNAUTHORIZED
    # The last character of 64 bytes in base64url has four bits to spare, which nobody reads.
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        assert told(present(oauth_api, token[:-1] + last)) == UNAUTHORIZED


def test_a_replica_whose_clock_is_behind_takes_none_again(
    sqlite_environment: Environment, issuer: SmallIssuer, clock: Clock
) -> None:
    """Where a token has not expired yet, it is known to be used, although elsewhere its time is over."""
    ahead = Clock()
    ahead.now = clock.now + timedelta(seconds=40)
    now = int(clock.now.timestamp())
    token = issuer.token(iat=now, exp=now + 60)
    settings = sqlite_environment | issuer.settings
    with opened_api(settings, clock=ahead) as first, opened_api(settings, clock=clock) as behind:
        assert present(first, token).status_code == 200
        for one in (ahead, clock):
            one.advance(25)
        first.core.store.purge(now=ahead.now)
        assert told(present(behind, token)) == UNAUTHORIZED


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://another.example"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
        {"aud": CLIENT_ID, "azp": "another client"},
        {"aud": None},
        {"aud": {CLIENT_ID: 1}},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": 1},
        {"iat": None},
        {"iat": "now"},
        {"iat": float("inf")},
        {"sub": "another"},
        {"sub": "HY103"},
        {"sub": None},
        {"sub": 103},
        {"sub": ["hy103"]},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"typ": "Bearer"},
        {"typ": ["ID"]},
        {"token_use": "access"},
    ],
)
def test_what_claims_are_refused(sqlite_oauth_api: Api, issuer: SmallIssuer, changes: dict[str, Any]) -> None:
    """The issuer's signature alone is not enough: it must be for this service, for now, and for this user."""
    assert told(present(sqlite_oauth_api, issuer.token(**changes))) == UNAUTHORIZED
    assert sqlite_oauth_api.names() == ["root"]


@pytest.mark.parametrize(
    ("claim", "seconds", "status"),
    [("exp", -1, 401), ("iat", -290, 200), ("iat", -310, 401), ("iat", 50, 200), ("iat", 70, 401), ("nbf", 70, 401)],
)
def test_only_fresh_tokens_are_taken(
    sqlite_oauth_api: Api, issuer: SmallIssuer, claim: str, seconds: int, status: int
) -> None:
    """Issued at most five minutes ago, or a minute ahead where clocks differ, and not expired."""
    now = issuer.claims()["iat"]
    assert present(sqlite_oauth_api, issuer.token(**{claim: now + seconds})).status_code == status


@pytest.mark.parametrize("said", [{"typ": "ID"}, {"token_use": "id"}])
def test_a_token_may_say_that_it_is_an_id_token(
    sqlite_oauth_api: Api, issuer: SmallIssuer, said: dict[str, str]
) -> None:
    """As Keycloak and Amazon Cognito have it, whose access tokens say another thing in that place."""
    assert present(sqlite_oauth_api, issuer.token(**said)).status_code == 200


def test_several_audiences_need_the_authorized_party(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """A token for several services is taken if it was this one that asked for it."""
    token = issuer.token(aud=["another client", CLIENT_ID], azp=CLIENT_ID)
    assert present(sqlite_oauth_api, token).status_code == 200


@pytest.mark.parametrize(("key", "algorithm"), [(0, "ES256"), (1, "RS256"), (1, "PS256"), (2, "EdDSA"), (2, "Ed25519")])
def test_asymmetric_signatures_are_taken(sqlite_oauth_api: Api, issuer: SmallIssuer, key: int, algorithm: str) -> None:
    """Of each kind that issuers use."""
    token = signed(issuer.claims(), issuer.keys[key], algorithm, typ="JWT", unknown="is ignored")
    assert present(sqlite_oauth_api, token).status_code == 200


def test_forged_tokens_are_refused(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """No signature, another's, one by the public key taken for a secret, and what is signed for other purposes."""
    claims, key = issuer.claims(), issuer.keys[0]
    rsa = issuer.keys[1]
    public = [json.dumps(key.as_dict(private=False)).encode(), key.as_pem(private=False), rsa.as_pem(private=False)]
    right = issuer.token()
    head, body, signature = right.split(".")
    forged = [
        signed(claims, None, "none"),
        signed(claims, None, "none", kid="ec"),
        f"{head}.{body}.",
        f"{head}.{signed(issuer.claims(exp=2e9), key).split('.')[1]}.{signature}",
        signed(claims, new_key("another"), kid="ec"),
        signed(claims, new_key("another")),
        signed(claims, new_key("another"), jwk=new_key("another").as_dict(private=False)),
        signed(claims, rsa, "RS512"),
        signed(claims, rsa, "RS256", kid="ec"),
        signed(claims, key, typ="at+jwt"),
        signed(claims, key, crit=["exp"], exp=1),
        signed(claims, key, kid=5),
        *(signed_with_text(claims, text, "ec") for text in public),
        "",
        "x",
        "x.y.z",
        "ü.ü.ü",
        right + "." + signature,
        5,
        [right],
        {"id_token": right},
    ]
    for token in forged:
        assert told(present(sqlite_oauth_api, token)) == UNAUTHORIZED, token
    assert present(sqlite_oauth_api, right).status_code == 200


def test_new_keys_are_asked_for_at_most_once_in_a_while(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """Tokens that name unknown keys have the keys asked for once, and not again by each of them."""
    for number in range(5):
        unknown = signed(issuer.claims(), new_key(f"unknown {number % 2}"))
        assert told(present(sqlite_oauth_api, unknown)) == UNAUTHORIZED
    assert (issuer.asked.count(JWKS), issuer.asked.count(DISCOVERY)) == (1, 1)


def test_disabled_users_stay_out(oauth_api: Api, issuer: SmallIssuer) -> None:
    """However right the token is."""
    assert present(oauth_api, issuer.token(nonce="1")).status_code == 200
    assert oauth_api.put("/hy103/update?oauth=1", {"disabled": True}).status_code == 200
    assert told(present(oauth_api, issuer.token(nonce="2"))) == UNAUTHORIZED


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a b", "Username: It may not contain spaces."),
        ("a/b", 'Username: It may not contain "/".'),
        ("\uff21nn", "Username: It has characters that stand for others (RFC 8265)."),
    ],
)
def test_what_can_be_no_name(sqlite_oauth_api: Api, issuer: SmallIssuer, name: str, rule: str) -> None:
    """The rule is told to whom the issuer calls so."""
    assert told(present(sqlite_oauth_api, issuer.token(sub=name), name)) == (422, rule)


def test_names_that_differ_in_case_share_no_account(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """An issuer may tell Ann from ann, so the second of them is not let in as the first."""
    assert present(sqlite_oauth_api, issuer.token(sub="Ann"), "Ann").status_code == 200
    taken = (422, "Username is already registered")
    assert told(present(sqlite_oauth_api, issuer.token(sub="ann"), "ann")) == taken


def test_names_to_show(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """A given name has to keep the rule, and refused it does not use the token up; the issuer's may be left out."""
    token = issuer.token(name="x" * 71)
    rule = (422, "Name: It may have at most 70 characters.")
    assert told(present(sqlite_oauth_api, token, name="y" * 71)) == rule
    assert told(present(sqlite_oauth_api, token, name=5)) == (422, "Name cannot be blank.")
    assert present(sqlite_oauth_api, token).get_json()["user"]["name"] is None


@pytest.mark.parametrize(("claim", "address"), [("email", "bill@example.com"), ("phone_number", "+16045551234")])
def test_the_claim_can_be_chosen(
    sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi, claim: str, address: str
) -> None:
    """Another claim may name users; of e-mail addresses and telephone numbers those that the issuer has confirmed."""
    api = make_api(sqlite_environment | issuer.settings | {"OIDC_CLAIM": claim})
    for unconfirmed in (None, False, "true"):
        token = issuer.token(**{claim: address, f"{claim}_verified": unconfirmed})
        assert told(present(api, token, address)) == UNAUTHORIZED
    assert present(api, issuer.token(**{claim: address, f"{claim}_verified": True}), address).status_code == 200
    assert told(present(api, issuer.token())) == UNAUTHORIZED


def test_without_an_issuer_none_vouches(sqlite_api: Api) -> None:
    """It is said so, after the look at the netid; an admin vouches as before, beside an issuer too."""
    nobody = (400, "No issuer is configured here.")
    assert told(present(sqlite_api, "x.y.z")) == nobody
    for path in ("", "/callback"):
        assert told(sqlite_api.ask(f"/users/login/oauth{path}", method="GET")) == nobody
    assert told(present(sqlite_api, "x.y.z", " ")) == (400, "Netid cannot be blank.")


def test_an_admin_vouches_beside_an_issuer(sqlite_oauth_api: Api) -> None:
    """And without a token or an admin there is no proof."""
    body, admin = {"user": {"netid": "hy103"}}, {"Authorization": authorization(ADMIN)}
    assert told(sqlite_oauth_api.ask("/users/login/oauth", body)) == UNAUTHORIZED
    assert sqlite_oauth_api.ask("/users/login/oauth", body, headers=admin).status_code == 200


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
@pytest.mark.parametrize("document", [b"rubbish", b"[]", b"{}", b"[" * 100_000, b'"' + b"x" * 300_000 + b'"', None])
def test_an_issuer_that_publishes_rubbish(
    sqlite_oauth_api: Api, issuer: SmallIssuer, path: str, document: bytes | None
) -> None:
    """It is 503 with a time to come back at, and the next request within seconds does not ask again."""
    if document is None:
        del issuer.documents[path]
    else:
        issuer.documents[path] = document
    for _ in range(2):
        answer = present(sqlite_oauth_api, issuer.token())
        assert (answer.status_code, type(answer.get_json())) == (503, str)
        assert int(answer.headers["Retry-After"]) >= 1
    assert issuer.asked.count(path) == 1


def test_an_issuer_that_packs_its_answers(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """Unpacked they may be huge, so they are refused."""
    issuer.encoding = "gzip"
    assert present(sqlite_oauth_api, issuer.token()).status_code == 503


def test_simultaneous_first_logins_make_one_user(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Each with a token of its own gets in, and they are the same user."""
    tokens = [issuer.token(nonce=str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = [told(answer) for answer in pool.map(lambda token: present(oauth_api, token), tokens)]
    assert [status for status, _ in answers] == [200] * 8
    assert oauth_api.get("?oauth=1").get_json()["users"] == ["hy103"]


@pytest.mark.parametrize(
    "changes",
    [{"issuer": "http://127.0.0.1"}, {"jwks_uri": "http://issuer.example/jwks"}, {"jwks_uri": "file:///etc/passwd"}],
)
def test_an_issuer_that_names_others(sqlite_oauth_api: Api, issuer: SmallIssuer, changes: dict[str, str]) -> None:
    """Metadata of another issuer are not taken, nor are URLs without TLS that lead off this machine."""
    issuer.publish(**changes)
    assert present(sqlite_oauth_api, issuer.token()).status_code == 503


@pytest.fixture
def tls_issuer(tmp_path: Path) -> Iterator[SmallIssuer]:
    """An issuer behind TLS, whose certificate is in ``certificate.pem``."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with running_issuer(tls) as running:
        yield running


def test_an_issuer_behind_tls(
    sqlite_environment: Environment,
    tls_issuer: SmallIssuer,
    make_api: MakeApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its certificate has to be trusted, and it may not send what is meant for it to a port of this machine."""
    environment = sqlite_environment | tls_issuer.settings
    assert present(make_api(environment), tls_issuer.token()).status_code == 503
    assert tls_issuer.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    assert present(make_api(environment), tls_issuer.token()).status_code == 200
    with running_issuer() as local:
        tls_issuer.publish(jwks_uri=local.url + JWKS)
        assert present(make_api(environment), tls_issuer.token(nonce="2")).status_code == 503
        assert local.asked == []


def test_an_issuer_that_is_silent_or_away(
    sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi
) -> None:
    """Both are 503 within seconds, also to those who wait at the same time."""
    issuer.silent.add(DISCOVERY)
    away = issuer.settings | {"OIDC_ISSUER": "http://127.0.0.1:1"}
    for settings in (issuer.settings, away):
        api = make_api(sqlite_environment | settings)
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda _, api=api: present(api, issuer.token()).status_code, range(4)))
        assert statuses == [503] * 4
    assert issuer.asked.count(DISCOVERY) == 1


def test_few_wait_for_the_issuer(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """The others are told to come again: each that waits takes the place of a request that needs no issuer."""
    issuer.silent.add(DISCOVERY)
    with ThreadPoolExecutor(80) as pool:
        answers = [pool.submit(present, sqlite_oauth_api, issuer.token(nonce=str(number))) for number in range(80)]
        told_at_once = set(islice(as_completed(answers, timeout=2.5), 16))
        issuer.ends.set()
    assert {answer.result().status_code for answer in told_at_once} == {503}
    assert {answer.result().status_code for answer in set(answers) - told_at_once} == {200}


def test_an_issuer_that_comes_to_no_end(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """When time is up the connection is cut, however much still comes: its thread would take a place for ever."""
    before = set(threading.enumerate())
    issuer.dripping.add(DISCOVERY)
    assert present(sqlite_oauth_api, issuer.token()).status_code == 503
    for thread in set(threading.enumerate()) - before:
        if thread.name == "issuer":
            thread.join(1)
            assert not thread.is_alive()
