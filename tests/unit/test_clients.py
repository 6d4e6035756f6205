"""Which addresses are one client, and which networks they are in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clients import Client, client_at


@pytest.mark.parametrize(
    ("address", "one", "many"),
    [
        ("192.0.2.1", "192.0.2.1/32", "192.0.0.0/16"),
        ("255.255.255.255", "255.255.255.255/32", "255.255.0.0/16"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:DB8:1:2:0:0:0:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::1", "::/64", "::/48"),
        ("::ffff:192.0.2.1", "192.0.2.1/32", "192.0.0.0/16"),
        ("::FFFF:C000:201", "192.0.2.1/32", "192.0.0.0/16"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
    ],
)
def test_addresses_are_clients_and_networks(address: str, one: str, many: str) -> None:
    """An IPv4 address, or an IPv6 /64, is one client, in a network of a /16, or a /48; spelling does not matter."""
    assert client_at(address) == Client(one, many)


@pytest.mark.parametrize("text", ["", "unix:", "/run/doorman.sock", "localhost", "192.0.2", "192.0.2.01", "%"])
def test_what_has_no_address_is_one_client(text: str) -> None:
    """Whatever comes over a Unix socket, or calls itself something else, counts together, and fails nowhere."""
    assert client_at(text) == Client("", "")


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_two_ipv4_addresses_are_two_clients(one: object, other: object) -> None:
    """Each counts for itself, and no IPv4 address shares its network with an IPv6 one."""
    assert (client_at(str(one)) == client_at(str(other))) == (one == other)
    assert client_at(f"::ffff:{one}") == client_at(str(one))
    assert ":" not in client_at(f"::ffff:{one}").network


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_whoever_has_a_64_has_one_address(network: int, one: int, other: int) -> None:
    """All hosts of an IPv6 /64 are one client, but for those that stand for IPv4."""
    network |= 1 << 63
    addresses = [
        ":".join(f"{network << 64 | host:032x}"[at : at + 4] for at in range(0, 32, 4)) for host in (one, other)
    ]
    assert client_at(addresses[0]) == client_at(addresses[1])
    assert client_at(addresses[0]).address.endswith("/64")
