"""The listening address and its ports: bound at the start, or waited for, and then accepting connections.

bind ── listening ────────────────────> open
     └─ the address is missing ─ there ─> open
                               └─ still missing when the model is loaded and its time is over: AddressMissingError
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from aiohttp import web

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import AddressMissingError
from youtu_edge.front.http.acceptor import Acceptor, most_connections, open_files_limit
from youtu_edge.front.http.connection import Timeouts
from youtu_edge.front.http.listener import open_listener, retried, url
from youtu_edge.log import line

log = logging.getLogger(__name__)


class Site:
    """The address of service.host with service.port and service.extra_ports."""

    def __init__(self, service: ServiceConfig, context: ssl.SSLContext | None) -> None:
        self._service = service
        self._context = context
        self.on_open: list[Callable[[Acceptor], None]] = []
        """Called once connections are accepted."""
        self._most = 0
        self._listeners: list[socket.socket] = []
        self._acceptor: Acceptor | None = None
        self.url = ""
        """Such as http://127.0.0.1:8080; "" until connections are accepted."""

    def bind(self) -> None:
        """Bind the ports, unless their address is missing. Raises PortInUseError and ConfigError."""
        service = self._service
        self._most = most_connections(service.max_connections, open_files_limit())
        try:
            self._listeners = self._open_listeners()
        except AddressMissingError as error:
            log.warning(line("address_missing", reason=error.message, wait_s=service.load_deadline_s))

    async def open(self, server: web.Server, is_loaded: Callable[[], bool]) -> None:
        """Accept connections, waiting for a missing address: for service.load_deadline_s, longer while loading.

        Raises AddressMissingError and what else `bind` raises.
        """
        service, clock = self._service, asyncio.get_running_loop().time
        if not self._listeners:
            end = clock() + service.load_deadline_s
            self._listeners = await retried(self._open_listeners, lambda: is_loaded() and clock() >= end)
        self._acceptor = Acceptor(
            self._listeners, server, most=self._most, timeouts=Timeouts.of(service), context=self._context
        )
        self._acceptor.start()
        urls = [url(listener, is_tls=self._context is not None) for listener in self._listeners]
        self.url = urls[0]
        print(f"listening on {self.url}", flush=True)  # noqa: T201 (scripts read the port from here)
        for each in urls:
            log.info(line("listening", url=each))
        for opened in self.on_open:
            opened(self._acceptor)

    def close(self) -> None:
        """Stop accepting connections."""
        if self._acceptor:
            self._acceptor.close()
        else:
            for listener in self._listeners:
                listener.close()

    def _open_listeners(self) -> list[socket.socket]:
        """That of service.port first; all of them, or none."""
        service, opened = self._service, list[socket.socket]()
        try:
            opened.append(open_listener(service.host, service.port))
            for port in service.extra_ports:
                opened.append(open_listener(service.host, port, "service.extra_ports"))
        except BaseException:
            for listener in opened:
                listener.close()
            raise
        return opened
