"""The listening socket, bound before the model is loaded so that a port in use is found at once.

An address that this machine does not have yet (the network is still coming up, DHCP is late) is not a configuration error:
the model is loaded meanwhile, and the bind is retried until the address is there.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TypeVar

from youtu_edge.errors import AddressMissingError, ConfigError, PortInUseError, YoutuEdgeError
from youtu_edge.front.http.port_holder import port_holder

T = TypeVar("T")

_BACKLOG = 1024
"""Connections that may wait in the kernel; beyond that, the client's TCP retries a second later."""
_RETRY_S = 0.5
_MISSING = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENETDOWN, errno.ENETUNREACH)
_UNUSABLE = {
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE, which the unit of `youtu-edge render-unit` grants",
    errno.EAFNOSUPPORT: "this machine has no IPv6; change service.host",
    errno.EINVAL: "not an address to listen on; change service.host",
}


def open_listener(host: str, port: int, key: str = "service.port") -> socket.socket:
    """A listening TCP socket. `host` is an address or localhost; `key` of the configuration names the port.

    Raises AddressMissingError while this machine does not have the address, PortInUseError, ConfigError for an address or
    a port that can never be used, and YoutuEdgeError for anything else.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    flags = socket.AI_PASSIVE | (0 if host.lower() == "localhost" else socket.AI_NUMERICHOST)  # no DNS lookup
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:  # an address is always found, but its %interface may not be there
        raise _missing(host, str(error)) from None
    family, kind, protocol, _, address = found[0]
    try:
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refusal(where, host, port, key, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(where, host, port, key, error) from None
    return listener


async def retried(bind: Callable[[], T], is_over: Callable[[], bool]) -> T:
    """What `bind` returns, retried while the address is missing. Raises AddressMissingError once `is_over` is true."""
    while True:
        over = is_over()
        try:
            return bind()
        except AddressMissingError:
            if over:
                raise
        await asyncio.sleep(_RETRY_S)


def url(listener: socket.socket, *, is_tls: bool = False) -> str:
    """Where the daemon can be reached, such as http://127.0.0.1:8080."""
    scheme = "https" if is_tls else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"


def _refusal(where: str, host: str, port: int, key: str, error: OSError) -> YoutuEdgeError:
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        who = holder or f"another process (`ss -ltnp 'sport = :{port}'`, as root, shows which)"
        return PortInUseError(f"{where} is in use by {who}; stop it or change {key}")
    if error.errno in _MISSING:
        return _missing(host, str(error.strerror))
    if error.errno in _UNUSABLE:
        return ConfigError(f"cannot listen on {where}: {error.strerror}: {_UNUSABLE[error.errno]}")
    return YoutuEdgeError(f"cannot listen on {where}: {error.strerror}")


def _missing(host: str, reason: str) -> AddressMissingError:
    return AddressMissingError(
        f"service.host {host} is not an address of this machine now ({reason}); `ip address` lists them; "
        "0.0.0.0 or :: listens on all of them"
    )
