"""The users API over a WebSocket with TLS: of Doorman's own, and of a front that it trusts."""

import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake

from tests.certificates import make_certificate
from tests.clients.front import Front, fronted
from tests.databases import ADMIN_TOKEN, Environment
from tests.running import SOURCES, Doorman
from tests.websocket_clients import ANONYMOUS, TOO_OFTEN, Talk, Talker, refusal

ROOT = f"Bearer {ADMIN_TOKEN}"
JOE = {"username": "joe", "email": "joe@example.com", "password": "a fine long password"}
LOGIN = {"username": "joe", "password": "a fine long password"}
# An address may fail so often before it is slowed down as a whole.
FREE_FAILURES = 20
OF_ADDRESS = 4
PATIENCE = 20.0


def every_action(talker: Talker) -> None:
    """Register, log in, ask and log out."""
    assert talker.is_there()
    made = talker.told("new", **JOE)
    token = talker.told("login", **LOGIN)["token"]
    assert talker.told("me")["user_id"] == talker.told("details", user_id=made["user_id"])["user_id"]
    assert talker.told("logout", token=token) == {"success": True}
    assert talker.refused("me") == ANONYMOUS


class Trusting:
    """Talks to a URL over TLS, trusting its certificate."""

    def __init__(self, talk: Talk, url: str, certificate: Path) -> None:
        self._talk = talk
        self._url = url
        self._context = ssl.create_default_context(cafile=str(certificate))

    def __call__(self, authorization: str | None = None, **options: Any) -> Talker:
        return self._talk(self._url, authorization, ssl=self._context, **options)

    def refusal(self, **options: Any) -> int:
        """Return the status of a handshake that is refused."""
        return refusal(self._talk, self._url, ssl=self._context, **options).status_code


# TLS of Doorman's own.


@pytest.fixture
def secured(sqlite_environment: Environment, tmp_path: Path) -> Iterator[Doorman]:
    """Doorman with a certificate, which holds few connections of an address."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    settings = {"TLS_CERT": str(certificate), "TLS_KEY": str(key), "WEBSOCKETS_PER_ADDRESS": str(OF_ADDRESS)}
    doorman = Doorman(sqlite_environment | settings, tmp_path)
    doorman.url = doorman.url.replace("http:", "https:")
    try:
        doorman.await_ready(verify=ssl.create_default_context(cafile=certificate))
        yield doorman
    finally:
        doorman.kill()


@pytest.fixture
def secure(secured: Doorman, talk: Talk, tmp_path: Path) -> Trusting:
    return Trusting(talk, secured.url, tmp_path / "cert.pem")


def test_tls_changes_nothing_of_it(secured: Doorman, secure: Trusting, talk: Talk) -> None:
    """Each action works over wss, the limits and the origin count there, and nobody is let in without TLS."""
    every_action(secure())
    here = next(SOURCES)
    held = [secure(ROOT, source=here) for _ in range(OF_ADDRESS)]
    assert {talker.told("me")["username"] for talker in held} == {"root"}
    assert secure.refusal(source=here) == 503
    assert secure.refusal(origin="https://evil.example.com") == 403
    assert secure.refusal(origin=secured.url.replace("https:", "http:")) == 403
    assert secure(origin=secured.url).is_there()
    with pytest.raises((InvalidHandshake, OSError)):
        talk(secured.url.replace("https:", "http:"))
    assert all(talker.is_there() for talker in held)


def test_a_stop_closes_properly_over_tls(secured: Doorman, secure: Trusting) -> None:
    """After SIGTERM every client gets 1001, and the service ends in order."""
    talkers = [secure(ROOT), secure()]
    assert talkers[0].told("me")["username"] == "root"
    secured.process.send_signal(signal.SIGTERM)
    assert [talker.closed_with() for talker in talkers] == [1001, 1001]
    assert secured.process.wait(PATIENCE) == 0
    assert "could not be closed" not in secured.log


# TLS of a front's.


@pytest.fixture
def doorman(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    """Doorman that trusts a front at 127.0.0.1, and holds few connections of an address."""
    return serve(sqlite_environment | {"TRUSTED_PROXIES": "127.0.0.1", "WEBSOCKETS_PER_ADDRESS": str(OF_ADDRESS)})


@pytest.fixture
def front(doorman: Doorman, tmp_path: Path) -> Iterator[Front]:
    with fronted(doorman, tmp_path / "front") as front:
        yield front


@pytest.fixture
def through(front: Front, talk: Talk) -> Trusting:
    """Talk through the front."""
    return Trusting(talk, front.url, front.certificate)


def claiming(address: str) -> dict[str, Any]:
    return {"additional_headers": {"X-Forwarded-For": address}}


def test_a_front_passes_it_on(doorman: Doorman, through: Trusting) -> None:
    """Each action works through nginx, and so does the close of a stop."""
    talker = through()
    every_action(talker)
    doorman.process.send_signal(signal.SIGTERM)
    assert talker.closed_with() == 1001
    assert doorman.process.wait(PATIENCE) == 0


def test_connections_count_by_the_forwarded_address(doorman: Doorman, through: Trusting, talk: Talk) -> None:
    """Behind the front each client has its own limit, and nobody has another's by a header of its own."""
    one, other, stranger = next(SOURCES), next(SOURCES), next(SOURCES)
    held = [through(source=one) for _ in range(OF_ADDRESS)]
    assert through.refusal(source=one) == 503
    assert through.refusal(source=one, **claiming("192.0.2.1")) == 503
    # These count for who made them, although they name the other.
    held += [talk(doorman.url, source=stranger, **claiming(other)) for _ in range(OF_ADDRESS)]
    past = refusal(talk, doorman.url, source=stranger, **claiming("192.0.2.1"))
    assert (past.status_code, past.headers["Retry-After"]) == (503, "1")
    held += [through(source=other) for _ in range(OF_ADDRESS)]
    assert through.refusal(source=other) == 503
    # The address is one, whichever way it comes.
    assert refusal(talk, doorman.url, source=one).status_code == 503
    assert all(talker.is_there() for talker in held)


def failures(talker: Talker, name: str) -> int:
    """Fail to log in under many names until that is refused; return how often it was not."""
    for number in range(2 * FREE_FAILURES):
        error = talker.refused("login", username=f"{name}{number}", password="wrong")
        if error == TOO_OFTEN:
            return number
        assert error == ANONYMOUS
    raise AssertionError("nobody was slowed down")


def test_failed_logins_count_by_the_forwarded_address(doorman: Doorman, through: Trusting, talk: Talk) -> None:
    """Behind the front each client slows down itself alone, and nobody can slow down another by a header of its own."""
    one, other, stranger, named = (next(SOURCES) for _ in range(4))
    assert failures(through(source=one), "a") >= FREE_FAILURES
    # Slowed for a moment, and longer each time: what is let through by then is little.
    slowed = FREE_FAILURES // 2
    assert failures(through(source=one, **claiming("192.0.2.1")), "b") < slowed
    assert failures(talk(doorman.url, source=one), "c") < slowed
    assert failures(through(source=other), "d") >= FREE_FAILURES
    assert failures(talk(doorman.url, source=stranger, **claiming(named)), "e") >= FREE_FAILURES
    assert failures(talk(doorman.url, source=stranger, **claiming("192.0.2.1")), "f") < slowed
    assert failures(through(source=named), "g") >= FREE_FAILURES


def test_the_origin_is_the_fronts(doorman: Doorman, front: Front, through: Trusting, talk: Talk) -> None:
    """Pages of the front's own origin may connect through it, and no others, whatever a stranger claims to forward."""
    assert through(origin=front.url).is_there()
    assert through().is_there()
    foreign = ("https://evil.example.com", front.url.replace("https:", "http:"), doorman.url, "null")
    assert [through.refusal(origin=origin) for origin in foreign] == [403] * len(foreign)
    page = "https://evil.example.com"
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.com"}
    assert refusal(talk, doorman.url, origin=page, additional_headers=forwarded).status_code == 403
    own = doorman.url.replace("http:", "https:")
    only_proto = {"X-Forwarded-Proto": "https"}
    assert refusal(talk, doorman.url, origin=own, additional_headers=only_proto).status_code == 403
    assert talk(doorman.url, origin=doorman.url, additional_headers=forwarded).is_there()
