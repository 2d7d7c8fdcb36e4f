"""The listening address: bound at the start, or waited for, and then accepting connections.

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
from youtu_edge.front.http.listener import open_listener, open_listener_later, url
from youtu_edge.log import line

log = logging.getLogger(__name__)


class Site:
    """The address of service.host and service.port."""

    def __init__(self, service: ServiceConfig, context: ssl.SSLContext | None) -> None:
        self._service = service
        self._context = context
        self.on_open: list[Callable[[Acceptor], None]] = []
        """Called once connections are accepted."""
        self._most = 0
        self._listener: socket.socket | None = None
        self._acceptor: Acceptor | None = None
        self.url = ""
        """Such as http://127.0.0.1:8080; "" until connections are accepted."""

    def bind(self) -> None:
        """Bind the port, unless its address is missing. Raises PortInUseError and ConfigError."""
        service = self._service
        self._most = most_connections(service.max_connections, open_files_limit())
        try:
            self._listener = open_listener(service.host, service.port)
        except AddressMissingError as error:
            log.warning(line("address_missing", reason=error.message, wait_s=service.load_deadline_s))

    async def open(self, server: web.Server, is_loaded: Callable[[], bool]) -> None:
        """Accept connections, waiting for a missing address: for service.load_deadline_s, longer while loading.

        Raises AddressMissingError and what else `bind` raises.
        """
        service, clock = self._service, asyncio.get_running_loop().time
        if self._listener is None:
            end = clock() + service.load_deadline_s
            self._listener = await open_listener_later(service.host, service.port, lambda: is_loaded() and clock() >= end)
        self._acceptor = Acceptor(
            self._listener, server, most=self._most, timeouts=Timeouts.of(service), context=self._context
        )
        self._acceptor.start()
        self.url = url(self._listener, is_tls=self._context is not None)
        print(f"listening on {self.url}", flush=True)  # noqa: T201 (scripts read the port from here)
        log.info(line("listening", url=self.url))
        for opened in self.on_open:
            opened(self._acceptor)

    def close(self) -> None:
        """Stop accepting connections."""
        if self._acceptor:
            self._acceptor.close()
        elif self._listener:
            self._listener.close()
