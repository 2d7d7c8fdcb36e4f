"""`youtu-edge keys add --qr`: address and key as a QR code in the terminal, for the camera of a phone."""

from __future__ import annotations

import sys
from types import ModuleType

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import ConfigError, YoutuEdgeError
from youtu_edge.network_address import is_loopback, reachable_host, url_of


def page_url(service: ServiceConfig, given: str | None) -> str:
    """Where a phone finds the page: `given` (--url), else the address that the daemon listens on. Raises ConfigError."""
    if given:
        return given.rstrip("/")
    host = reachable_host(service.host)
    if not host or is_loopback(host) or not service.port:
        why = f"service.host is {service.host}, which no other machine reaches" if host else "this machine is in no network"
        raise ConfigError(f"--qr: {why}; change that, or add --url http://BOARD:PORT")
    return url_of(host, service.port, is_tls=bool(service.tls_certificate))


def qr_library() -> ModuleType:
    """Raises YoutuEdgeError if it is not installed."""
    try:
        import segno
    except ImportError:
        raise YoutuEdgeError("--qr needs the Python package segno: pip install 'youtu-edge[home]'") from None
    return segno


def show_qr(url: str, token: str) -> None:
    """On stderr, because stdout has the key alone. What follows # stays in the browser: no log and no proxy sees it."""
    code = qr_library().make(f"{url}/#key={token}", error="m")
    print(f"{url}, with this key:", file=sys.stderr)
    code.terminal(out=sys.stderr, compact=True)
