"""A port of this machine that leads to a port of a container without any network but its own loopback."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import threading
from types import TracebackType

_CLONE_NEWNET = 0x40000000
_ADDRESS = "127.0.0.2"
"""Not 127.0.0.1: a daemon that listens on loopback only could not be published."""


class PublishedPort:
    """`port` is open while this is used as a context manager."""

    def __init__(self, pid: int, target: int) -> None:
        """`pid` is a process in the container."""
        self._namespace, self._target = open(f"/proc/{pid}/ns/net"), target  # noqa: SIM115 - closed by the thread
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> PublishedPort:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        # A network namespace belongs to a thread, and a socket to the one that it was made in.
        with self._namespace as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            try:
                inside = socket.create_connection((_ADDRESS, self._target))
            except OSError:
                client.close()
                continue
            threading.Thread(target=_carry, args=(client, inside), daemon=True).start()


def _carry(client: socket.socket, inside: socket.socket) -> None:
    """Bytes in both directions until either side has ended."""
    with client, inside, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
        ready.register(client, selectors.EVENT_READ, inside)
        ready.register(inside, selectors.EVENT_READ, client)
        while True:
            for key, _ in ready.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if not (data := source.recv(1 << 16)):
                    return
                key.data.sendall(data)
