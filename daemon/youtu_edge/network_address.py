"""Under which address others reach this machine."""

from __future__ import annotations

import ipaddress
import socket

_EVERY_INTERFACE = {"0.0.0.0": ("192.0.2.1", socket.AF_INET), "::": ("2001:db8::1", socket.AF_INET6)}  # noqa: S104
"""Listening address -> an address for documentation (RFC 5737, RFC 3849), to which nothing is sent."""


def reachable_host(host: str) -> str:
    """The address for others of a daemon that listens on `host`; "" if this machine is in no network now.

    For every interface: the address from which packets leave the local network, which needs no list of interfaces.
    """
    if host.lower() == "localhost":
        return "127.0.0.1"
    if host not in _EVERY_INTERFACE:
        return host
    target, family = _EVERY_INTERFACE[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def url_of(host: str, port: int, *, is_tls: bool) -> str:
    """Such as http://192.168.1.20:8080."""
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
