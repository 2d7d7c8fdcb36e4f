"""Connections to a daemon that send what no client library would, or nothing, and the crowds of them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from front.scripted_daemon import Daemon

HALF_A_HEADER = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nX-Sl"
HALF_A_BODY = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
WHOLE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(daemon: Daemon, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
    connection.sendall(said)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """What the daemon sends until it closes."""
    answer = b""
    with contextlib.closing(connection), contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


@contextlib.contextmanager
def crowd(daemon: Daemon, count: int, *said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent one of `said` and wait."""
    connections = [connect(daemon, said[index % len(said)]) for index in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()
