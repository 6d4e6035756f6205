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
def client_at(address: str) -> Client:
    """Return the client at an IP address; an IPv4 address in IPv6's clothes (RFC 4291, RFC 6052) is an IPv4 one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Client("", "")
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip in _TRANSLATED:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    near, far = (32, 16) if ip.version == 4 else (64, 48)  # noqa: PLR2004 - the versions of IP
    return Client(*(str(ipaddress.ip_network((ip, length), strict=False)) for length in (near, far)))
