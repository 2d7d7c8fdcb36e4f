"""One connection: aiohttp's protocol, with deadlines for the client, and JSON for every error.

    made ──> no byte of a request yet ──> header begun ──whole──> request ──answered──> no byte yet …
             header_timeout_s at first,   header_timeout_s        body_timeout_s: see body_reader
             later idle_timeout_s

A response may take any time; only a client that does not read it is disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import StreamReader, web
from multidict import CIMultiDict, CIMultiDictProxy

from youtu_edge.config import ServiceConfig
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.http.error_body import error_response, raw_response
from youtu_edge.log import line
from youtu_edge.request_errors import InvalidRequestError, RequestTimeoutError

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 64 * 1024
"""Request line and header fields together; aiohttp limits each field and their number, which allows two megabytes."""

_NEVER_S = 10.0**9
_CLOSE_S = 5.0
"""How long a connection that is being closed may take to send what is left; it holds its descriptor until then."""
_LINGER_S = 2.0
"""How long the rest of a rejected body is discarded, so that the client reads the response instead of a reset."""
_PROBE_AFTER_S, _PROBE_EVERY_S, _PROBES = 60, 10, 3
"""TCP keep-alive: detects a client that vanished without closing while it waits for its response."""
_SHORTEST_SILENCE_S = 30.0
"""Sent data that stays unacknowledged for twice write_timeout_s, or for this if that is longer, means the same."""


class Timeouts(NamedTuple):
    """In seconds; see ServiceConfig."""

    header_s: float
    idle_s: float
    write_s: float

    @classmethod
    def of(cls, service: ServiceConfig) -> Timeouts:
        """The timeouts of the configuration."""
        return cls(service.header_timeout_s, service.idle_timeout_s, service.write_timeout_s)


class Connection(web.RequestHandler):
    """`on_turn` is called when `owes_since` is set to now; `on_lost` once, when the socket is about to be closed."""

    def __init__(
        self,
        server: web.Server,
        timeouts: Timeouts,
        on_turn: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=_NEVER_S,  # our own timer does this, and spares a header that has just begun
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to have none
            lingering_time=_LINGER_S,
            auto_decompress=False,  # body_reader does, and reports what is wrong
        )
        self._clock = loop.time
        self._call_later = loop.call_later
        self._timeouts = timeouts
        self._on_turn = on_turn
        self._on_lost = on_lost
        self._wire: asyncio.Transport | None = None
        self._body: StreamReader | None = None
        self._is_answering = False
        self._since = self._clock()
        self._header_bytes = 0
        self._request_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def is_made(self) -> bool:
        """False until the TLS handshake is done; a connection without TLS is made at once."""
        return self._wire is not None

    @property
    def owes_since(self) -> float | None:
        """Since when the client owes us the rest of a request (time of the event loop); None while we owe it an answer."""
        return None if self._is_answering and self._has_body else self._since

    def abort(self) -> None:
        """Close it now; what was not sent is lost."""
        if self._wire is not None:
            self._wire.abort()

    def begin_request(self, body: StreamReader) -> None:
        """A whole header has arrived; called before its handler."""
        self._is_answering = True
        self._body, self._since = body, self._clock()
        self._stop_request_timer()
        self._on_turn(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Called by aiohttp with what the handler answered."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_answering = False
            self._since = self._clock()
            self._expect_request(self._timeouts.idle_s)
            self._on_turn(self)

    async def start(self) -> None:
        """Called by aiohttp: all requests of this connection, until it is being closed."""
        try:
            await super().start()
        finally:
            if self._wire is not None:
                self._call_later(_CLOSE_S, self._wire.abort)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Called by aiohttp for input that is not a request: our error document, and no traceback in the log."""
        if not isinstance(exc, Exception) or status != 400:
            return super().handle_error(request, status, exc, message)
        response = error_response(InvalidRequestError(f"this is not valid HTTP: {_one_line(message or str(exc))}"))
        response.force_close()
        return response

    # -- called by the transport -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        _watch_for_silence(transport.get_extra_info("socket"), self._timeouts.write_s)
        super().connection_made(transport)
        self._expect_request(self._timeouts.header_s)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived; aiohttp also calls it without any, to go on with what is buffered."""
        if data and not self._is_answering and self._has_body:
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(InvalidRequestError(f"the header exceeds {MAX_HEADER_BYTES} bytes"))
                return
            if not self._header_bytes:
                self._expect_request(self._timeouts.header_s)
            self._header_bytes += len(data)
        super().data_received(data)
        if self._messages and self._body is not None and not self._has_body:
            # A message after an incomplete body: the parser has failed, and aiohttp does not pass that on to the handler.
            self._body.set_exception(web.RequestPayloadError("the body does not match its headers"))

    def pause_writing(self) -> None:
        """The buffers are full: the client has to read within the deadline."""
        super().pause_writing()
        self._write_timer = self._call_later(self._timeouts.write_s, self._write_overdue)

    def resume_writing(self) -> None:
        """The client has read enough."""
        super().resume_writing()
        self._stop_write_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed; its descriptor is freed in a moment."""
        self._stop_request_timer()
        self._stop_write_timer()
        super().connection_lost(exc)
        self._wire = None
        self._on_lost(self)

    # ----------------------------------------------------------------------------------------------------------------------

    @property
    def _has_body(self) -> bool:
        """Whether the body of the last request has arrived. The rest of a rejected one arrives after its response."""
        return self._body is None or self._body.is_eof()

    def _expect_request(self, seconds: float) -> None:
        self._stop_request_timer()
        if self._wire is not None:
            self._request_timer = self._call_later(seconds, self._request_overdue)

    def _stop_request_timer(self) -> None:
        self._header_bytes = 0
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _request_overdue(self) -> None:
        if not self._header_bytes:
            self.force_close()  # it has sent nothing, or nothing since its last response
            return
        self._refuse(
            RequestTimeoutError(
                f"the header was not complete within {self._timeouts.header_s:g} s (service.header_timeout_s)"
            )
        )

    def _write_overdue(self) -> None:
        log.warning(line("client_too_slow", write_timeout_s=self._timeouts.write_s))
        self.abort()  # close() would wait for the client to read

    def _refuse(self, error: YoutuEdgeError) -> None:
        """Send an error before there is a request, and close."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.write(raw_response(error))
        self._header_bytes = 0
        self.force_close()


def _watch_for_silence(connection: socket.socket | None, write_timeout_s: float) -> None:
    """Have the kernel detect a peer that is gone: unplugged, asleep, out of reach."""
    if connection is None or connection.family == socket.AF_UNIX:
        return
    options = {
        socket.TCP_KEEPIDLE: _PROBE_AFTER_S,
        socket.TCP_KEEPINTVL: _PROBE_EVERY_S,
        socket.TCP_KEEPCNT: _PROBES,
        socket.TCP_USER_TIMEOUT: int(max(2 * write_timeout_s, _SHORTEST_SILENCE_S) * 1000),
    }
    for option, value in options.items():
        with contextlib.suppress(OSError):  # the connection may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def mark_requests(server: web.Server) -> None:
    """Have every request of `server` call `begin_request` of its Connection.

    An `Expect` other than 100-continue is dropped, as RFC 9110 section 10.1.1 allows: aiohttp would answer it 417 outside
    of every middleware.
    """
    make_request: Any = server.request_factory

    def begin(message: Any, payload: StreamReader, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.begin_request(payload)
        if message.headers.get("Expect", "100-continue").lower() != "100-continue":
            kept = CIMultiDict((name, value) for name, value in message.headers.items() if name.lower() != "expect")
            message = message._replace(headers=CIMultiDictProxy(kept))
        request: web.BaseRequest = make_request(message, payload, protocol, writer, task)
        return request

    server.request_factory = begin


def _one_line(message: str) -> str:
    """The parser's message without its excerpt of the input, which may contain the client's data."""
    return message.partition(":\n\n")[0].replace("\n", " ").strip()[:200]
