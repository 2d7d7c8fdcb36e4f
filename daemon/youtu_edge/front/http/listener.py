"""The listening socket, taken before the model is loaded so that a busy port is found at once."""

from __future__ import annotations

import errno
import socket

from youtu_edge.errors import ConfigError, PortInUseError

_BACKLOG = 128


def open_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises PortInUseError, or ConfigError for an address that is not ours or not allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"service.host {host!r} cannot be resolved: {error}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"{where} is in use by another process; stop it or change service.port") from None
        raise ConfigError(f"cannot listen on {where}: {error.strerror}; change service.host or service.port") from None
    return listener


def url(listener: socket.socket, *, is_tls: bool = False) -> str:
    """Where the daemon can be reached, such as http://127.0.0.1:8080."""
    scheme = "https" if is_tls else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"
