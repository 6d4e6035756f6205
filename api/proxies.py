"""The proxies that are trusted to say who is behind them, and what they say."""

import ipaddress
import logging
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from werkzeug.wsgi import get_host

from api.setting_values import Network
from models.clients import Client, client_at

# With the name of an interface. What is longer is none, and must not be remembered in its whole length.
_LONGEST_ADDRESS = 64

logger = logging.getLogger(__name__)


class TrustedProxies:
    """``TRUSTED_PROXIES``: from any other peer, ``X-Forwarded-…`` is only what a client claims."""

    def __init__(self, networks: Collection[Network]) -> None:
        self._networks = tuple(networks)
        self._is_trusted = lru_cache(4096)(self._look_up)
        self._has_warned = False

    def sent(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether the request comes from a trusted proxy."""
        return bool(self._networks) and self._is_trusted(environ.get("REMOTE_ADDR", ""))

    def scheme(self, environ: Mapping[str, Any]) -> str:
        """Return what the client speaks, ``http`` or ``https``."""
        return self._forwarded(environ, "HTTP_X_FORWARDED_PROTO", environ["wsgi.url_scheme"]).lower()

    def host(self, environ: dict[str, Any]) -> str:
        """Return the host, and the port if it was named, that the client speaks to."""
        return self._forwarded(environ, "HTTP_X_FORWARDED_HOST", get_host(environ))

    def client(self, environ: Mapping[str, Any]) -> Client:
        """Return who sent the request, as limits count clients."""
        return client_at(self.address(environ))

    def address(self, environ: Mapping[str, Any]) -> str:
        """Return the address that the request comes from: the last of ``X-Forwarded-For`` that no trusted proxy has.

        Each proxy adds whom it heard from on the right, and what stands further left is what that one claimed.
        """
        address: str = environ.get("REMOTE_ADDR", "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded is None:
            return address
        if not self.sent(environ):
            self._warn(address)
            return address
        for hop in reversed(forwarded.split(",")):
            named = _without_port(hop.strip())
            if len(named) > _LONGEST_ADDRESS or not _is_address(named):
                break
            address = named
            if not self._is_trusted(address):
                break
        return address

    def _forwarded(self, environ: Mapping[str, Any], name: str, otherwise: str) -> str:
        """Return what a trusted proxy says; where several have added to it, the first is what the client spoke to."""
        if name not in environ or not self.sent(environ):
            return otherwise
        said: str = environ[name]
        return said.partition(",")[0].strip()

    def _look_up(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip  # an IPv4 peer of a socket for both
        return any(ip in network for network in self._networks)

    def _warn(self, address: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s sent X-Forwarded-For, and TRUSTED_PROXIES does not name it. If it is your proxy, all its clients"
                " count as one in the limit on failed logins until you do.",
                address,
            )


def _without_port(hop: str) -> str:
    """Return the address of ``1.2.3.4:5678``, ``[::1]`` or ``[::1]:5678``, as some proxies write it."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
