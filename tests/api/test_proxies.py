"""Who sent a request, by its connection and by what trusted proxies say; never by what anyone else claims."""

import ipaddress
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import proxies
from api.proxies import TrustedProxies
from api.setting_values import networks
from api.wsgi_bridge import build_environ
from models.clients import Client, client_at

TRUSTED = networks("10.0.0.0/8, 192.0.2.7/32, fd00::/8")
PROXY, INNER, STRANGER = "10.0.0.1", "10.0.0.2", "203.0.113.9"


def request(peer: str | None, *forwarded: str, header: bytes = b"x-forwarded-for") -> dict[str, Any]:
    """Make the request as the server does, with a header for each of ``forwarded``."""
    scope = {
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "http_version": "1.1",
        "client": None if peer is None else (peer, 50_000),
        "headers": [(header, value.encode("latin-1")) for value in forwarded],
    }
    return build_environ(scope, None)


def sender(peer: str | None, *forwarded: str) -> Client:
    return TrustedProxies(TRUSTED).client(request(peer, *forwarded))


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["198.51.100.1,10.0.0.3 ,\t192.0.2.7"], "198.51.100.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:db8::1, fd00::5"], "2001:db8::1"),
        (["10.0.0.9"], "10.0.0.9"),
        (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
    ],
)
def test_a_trusted_proxy_names_its_client(forwarded: Sequence[str], address: str) -> None:
    """The client is the last address that no trusted proxy has, or the first proxy where all are trusted."""
    assert sender(PROXY, *forwarded) == client_at(address)


@pytest.mark.parametrize("claimed", ["1.1.1.1", "10.0.0.5", "127.0.0.1", "junk", "", "1.1.1.1, 10.0.0.5", "," * 1000])
def test_what_a_client_claims_is_not_believed(claimed: str) -> None:
    """Whatever stands left of the client's own address was sent by the client, trusted addresses too."""
    assert sender(PROXY, f"{claimed}, {STRANGER}") == client_at(STRANGER)
    assert sender(PROXY, f"{claimed}, {STRANGER}, {INNER}") == client_at(STRANGER)


@pytest.mark.parametrize("peer", [STRANGER, "192.0.2.8", "2001:db8::7", "::ffff:203.0.113.9", "11.0.0.1"])
def test_a_peer_that_is_not_trusted_is_the_client(peer: str, caplog: pytest.LogCaptureFixture) -> None:
    """From anyone else the header is ignored, and the log says so once."""
    found = TrustedProxies(TRUSTED)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert found.client(request(peer, "1.1.1.1")) == client_at(peer)
    assert len(caplog.records) == 1
    assert "TRUSTED_PROXIES" in caplog.text
    assert not found.sent(request(peer))


def test_without_trusted_proxies_nobody_is_believed() -> None:
    """The default trusts no one, loopback included."""
    nobody = TrustedProxies(())
    assert nobody.client(request("127.0.0.1", "1.1.1.1")) == client_at("127.0.0.1")
    assert not nobody.sent(request("127.0.0.1", "1.1.1.1"))


def test_without_the_header_the_peer_is_the_client() -> None:
    """A trusted proxy that names nobody is itself the client."""
    assert sender(PROXY) == client_at(PROXY)
    assert sender(STRANGER) == client_at(STRANGER)


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("198.51.100.1:", "198.51.100.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("[::ffff:198.51.100.1]:4711", "198.51.100.1"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_ports_and_brackets_are_taken_off(hop: str, address: str) -> None:
    """Some proxies write the port, and IPv6 addresses in brackets; trusted ones that do are passed over as well."""
    assert sender(PROXY, hop) == client_at(address)
    assert sender(PROXY, f"{hop}, 10.0.0.3:80, [fd00::1]:80, ::ffff:10.0.0.4") == client_at(address)


@pytest.mark.parametrize(
    "junk", ["unknown", "_hidden", "", "[", "]", "[]:80", "1.2.3", "1.2.3.4.5", "\xe9", "a" * 60_000]
)
def test_junk_ends_the_chain(junk: str) -> None:
    """Where a trusted proxy names no address, it is the client itself, and nothing further left is looked at."""
    assert sender(PROXY, junk) == client_at(PROXY)
    assert sender(PROXY, f"1.1.1.1, {junk}") == client_at(PROXY)
    assert sender(PROXY, f"1.1.1.1, {junk}, {INNER}") == client_at(INNER)


def test_long_junk_is_not_remembered() -> None:
    """What is too long for an address is not kept, nor an address with a long name of an interface."""
    proxies._is_address.cache_clear()
    for hop in ("a" * 60_000, "fe80::1%" + "a" * 60_000):
        assert sender(PROXY, hop) == client_at(PROXY)
    assert proxies._is_address.cache_info().currsize == 0


def test_several_headers_are_one_chain() -> None:
    """A proxy that adds a header of its own, and not to the one that is there, is read as if it had (RFC 9110, 5.3)."""
    assert sender(PROXY, "1.1.1.1", STRANGER) == client_at(STRANGER)
    assert sender(PROXY, f"1.1.1.1, {STRANGER}", INNER) == client_at(STRANGER)


def test_the_header_has_one_spelling() -> None:
    """``X_Forwarded_For``, which WSGI could not tell from it, is not taken for it."""
    spoofed = request(PROXY, "1.1.1.1", header=b"x_forwarded_for")
    assert TrustedProxies(TRUSTED).client(spoofed) == client_at(PROXY)


def test_ipv4_peers_of_a_socket_for_both_are_ipv4() -> None:
    """A proxy that is trusted as 10.0.0.1 is trusted when the socket calls it ::ffff:10.0.0.1."""
    assert sender("::ffff:10.0.0.1", STRANGER) == client_at(STRANGER)
    assert sender("::ffff:10.0.0.1") == client_at("10.0.0.1")
    assert sender("fd00::1%eth0", STRANGER) == client_at(STRANGER)


@pytest.mark.parametrize("peer", [None, ""])
def test_a_unix_socket_is_one_client(peer: str | None) -> None:
    """What has no address cannot be named in ``TRUSTED_PROXIES``, and is not trusted."""
    assert sender(peer, "1.1.1.1") == sender(peer) == Client("", "")


@given(st.lists(st.one_of(st.text("0123456789.:[]a ,", max_size=20), st.ip_addresses().map(str)), max_size=4))
def test_whatever_is_claimed_the_last_stranger_stays(claims: Sequence[str]) -> None:
    """No text left of an address that is not trusted changes who the client is."""
    assert sender(PROXY, ",".join([*claims, STRANGER])) == client_at(STRANGER)
    assert not any(ipaddress.ip_address(STRANGER) in network for network in TRUSTED)
