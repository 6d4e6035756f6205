"""Where requests come from, as far as limits on failed logins care."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Client:
    """The other end of a request.

    ``address`` is what one attacker can hardly change: an IPv4 address, or the /64 of an IPv6 one. ``network`` is what
    many addresses can be had in: the /16, or the /48. What has no address (a Unix socket) is one client.
    """

    address: str
    network: str


@lru_cache(4096)
def plain_address(address: str) -> str:
    """Return an IP address in its one form, an IPv4 one in IPv6's clothes as an IPv4 one; nothing for what is none."""
    ip = _ip_address(address)
    return "" if ip is None else str(ip)


@lru_cache(4096)
def client_at(address: str) -> Client:
    """Return the client at an IP address; an IPv4 address in IPv6's clothes (RFC 4291, RFC 6052) is an IPv4 one."""
    ip = _ip_address(address)
    if ip is None:
        return Client("", "")
    near, far = (32, 16) if ip.version == 4 else (64, 48)  # noqa: PLR2004 - the versions of IP
    return Client(*(str(ipaddress.ip_network((ip, length), strict=False)) for length in (near, far)))


def _ip_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else ip
