"""Rejects requests of browsers from another site (cross-origin) or for a host name that is not ours (DNS rebinding).

Programs send no Origin and use the daemon's address or its own name, so they are not affected.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from youtu_edge.config import ServiceConfig
from youtu_edge.front.http.cors import is_allowed
from youtu_edge.front.http.handler import Handler
from youtu_edge.request_errors import ForbiddenError


class OriginGuard:
    """The names under which this daemon may be addressed."""

    def __init__(self, service: ServiceConfig, machine_name: str) -> None:
        machine = machine_name.lower()
        self._names = {"localhost", service.host.lower(), *(name.lower() for name in service.allowed_hosts)}
        self._only_loopback = is_loopback(service.host)
        self._origins = service.cors_origins
        if not self._only_loopback and machine:
            self._names |= {machine, f"{machine}.local"}

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises ForbiddenError unless Host is ours and Origin, if present, is the same site or in service.cors_origins."""
        if host is not None and not self._is_ours(_host_name(host)):
            raise ForbiddenError(f"host {host[:100]!r} is not served here; add it to service.allowed_hosts if it should be")
        if is_allowed(origin, self._origins):
            return
        if origin is not None and (host is None or _site(origin) != host.lower()):
            raise ForbiddenError(
                f"requests from the site {origin[:100]!r} are rejected; add it to service.cors_origins if its pages "
                "may call this daemon"
            )

    def _is_ours(self, name: str) -> bool:
        if name in self._names:
            return True
        # An attacker can point a name at us, but not an address: literals are safe unless we listen on loopback only.
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._only_loopback


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a daemon that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; "" when it cannot be read."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _site(origin: str) -> str:
    """Host and port of an Origin header; "" when it cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def make_guard_middleware(service: ServiceConfig) -> Any:
    """Middleware that applies the guard to every request."""
    guard = OriginGuard(service, socket.gethostname())

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check(request.headers.get("Host"), request.headers.get("Origin"))
        return await handler(request)

    return check
