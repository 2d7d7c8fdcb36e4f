"""The client of a request, also where it came through a proxy: X-Forwarded-For and X-Forwarded-Proto.

Anybody can send these headers, so they count only when the connection comes from one of service.trusted_proxies, and of the
addresses in X-Forwarded-For only the last one that is not such a proxy itself: what is to the left of it was sent by
the client.

    X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.2      connection from 10.0.0.1, trusted: 10.0.0.0/8
                     made up      the client    a proxy
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aiohttp import web

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """The networks of service.trusted_proxies; with none, the headers are ignored."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def client_address(self, request: web.Request) -> str:
        """The address of the client without a port; "" if it is unknown."""
        peer = _address(request.remote or "")
        if peer is None or not self._is_trusted(peer):
            return str(peer or "")
        client = peer
        for text in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            address = _address(text.strip())
            if address is None:  # not an address: what precedes it cannot be trusted
                break
            client = address
            if not self._is_trusted(address):
                break
        return str(client)

    def is_https(self, request: web.Request) -> bool:
        """Whether the client's own connection is encrypted."""
        peer = _address(request.remote or "")
        if peer is not None and self._is_trusted(peer):
            # The last one is that of the proxy that is connected; a chain of proxies overwrites it.
            schemes = ",".join(request.headers.getall("X-Forwarded-Proto", [])).lower().split(",")
            if schemes[-1].strip():
                return schemes[-1].strip() == "https"
        return request.secure

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address as proxies write it: bare, with a port, IPv6 in brackets; None for anything else, such as "unknown"."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped  # an IPv4 client of a daemon that listens on ::
    return address
