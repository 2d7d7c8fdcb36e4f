"""Texts of the configuration that are parsed or checked: sizes, rates, addresses, host names, origins."""

from __future__ import annotations

import ipaddress
import re

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:iB)?", re.ASCII)


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "1500M", "2G" or "512MiB"; units are powers of 1024, as in systemd. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or (text.strip().endswith("iB") and not found.group(2)):
        raise ValueError(f"{text!r} is not a size; write a number with K, M, G or T (powers of 1024), such as 1500M")
    size = int(float(found.group(1)) * _UNITS[found.group(2)]) if len(found.group(1)) < 20 else 2**63
    if not 0 < size < 2**63:
        raise ValueError(f"{text!r} is out of range for a size in bytes")
    return size


def check_host(text: str) -> None:
    """Accept what a daemon can listen on: an IP address, or localhost. Raises ValueError."""
    if text.lower() == "localhost":
        return
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address; write one of this machine, 127.0.0.1 for local clients only, 0.0.0.0 or :: "
            "for all interfaces (the port is service.port)"
        ) from None
    if address.is_multicast or text == "255.255.255.255":
        raise ValueError(f"{text!r} is a multicast or broadcast address; write one of this machine")
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local and not address.scope_id:
        raise ValueError(f"{text!r} is link-local and needs its interface, such as {text}%eth0")


def check_site_name(text: str) -> None:
    """Accept what a browser can send as the name in Host. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+", text):
        raise ValueError(
            f"{text!r} is not a host name; write it without scheme and port, such as panel.example (xn--… if international)"
        )


def check_network(text: str) -> None:
    """Accept an address, or a network in CIDR notation. Raises ValueError."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address or network; write it such as 10.0.0.5 or 10.0.0.0/8") from None


def check_board(text: str) -> None:
    """Accept a name that fits into headers, cookies, ids and host names. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise ValueError(
            f"{text!r} is not a board name; write up to 63 lower-case letters, digits and hyphens, such as line-2"
        )


def check_origin(text: str) -> None:
    """Accept what a browser can send as Origin, and "*" for all. Raises ValueError."""
    if text != "*" and not re.fullmatch(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text):
        raise ValueError(f"{text!r} is not an origin; write scheme and host in lower case, such as https://panel.example")


def parse_growth(text: str) -> tuple[int, int]:
    """(bytes, seconds) of a growth rate such as "128M/3600". Raises ValueError."""
    size, slash, seconds = text.partition("/")
    if not slash or not re.fullmatch(r"[1-9][0-9]{0,8}", seconds, re.ASCII):
        raise ValueError(f"{text!r} is not a growth rate; write bytes/seconds, such as 128M/3600")
    return parse_bytes(size), int(seconds)


def parse_restart_rate(text: str) -> tuple[int, int]:
    """(restarts, seconds) of a rate such as "3/300". Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a rate; write restarts/seconds, such as 3/300")
    return int(found.group(1)), int(found.group(2))
