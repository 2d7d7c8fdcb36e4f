"""Accepts connections from the listening sockets up to a cap that leaves enough descriptors for the rest of the process.

At the cap, the connection whose client has owed a request for the longest time is evicted for the new one, so that idle and
slow clients cannot keep others out. When every connection waits for our response, the new one gets a 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from youtu_edge.errors import ConfigError, ConnectionLimitError
from youtu_edge.front.http.connection import Connection, Timeouts, mark_requests
from youtu_edge.front.http.error_body import raw_response
from youtu_edge.log import line

log = logging.getLogger(__name__)

RESERVED_DESCRIPTORS = 40
"""Not for connections: files, databases, keys and pipes when idle (17), a starting engine (6), connections that are being
accepted, rejected or closed (_BATCH + _MOST_REFUSALS), and some for occasional reads of files."""
_FEWEST, _MOST = 8, 2048
"""The smallest useful cap, and the largest default, which the front has memory for: 5 KB for an idle connection, 20 KB for
one in the middle of a body."""
_BATCH, _LARGEST_BATCH = 8, 64
"""Connections accepted in one turn of the event loop: at the cap, where evicted ones are closed in the next turn, and below
it."""
_CHANCE_S = 0.02
"""The least time that a client has to send its request before it may be evicted."""
_MOST_REFUSALS = 4
_REFUSAL_S = 1.0
"""How long a rejected client may take to read the response."""
_PAUSE_S = 1.0
_LOG_EVERY_S = 10.0


def open_files_limit() -> int:
    """RLIMIT_NOFILE of this process: LimitNOFILE= of the systemd unit, `ulimit -n` of a terminal."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def most_connections(wanted: int, open_files: int) -> int:
    """`wanted` (service.max_connections), or what the limit on open files leaves if that is 0. Raises ConfigError."""
    room = open_files - RESERVED_DESCRIPTORS
    if room < _FEWEST:
        raise ConfigError(
            f"the limit of {open_files} open files is too low: {RESERVED_DESCRIPTORS + _FEWEST} are needed; "
            "raise LimitNOFILE= of the systemd unit, or `ulimit -n` in a terminal"
        )
    if wanted > room:
        raise ConfigError(
            f"service.max_connections {wanted}: the limit of {open_files} open files leaves room for {room}; "
            f"raise LimitNOFILE= of the systemd unit to {wanted + RESERVED_DESCRIPTORS}, or lower the key"
        )
    return wanted or min(room, _MOST)


class Acceptor(Collector):
    """Serves `listeners` with `server`, over TLS if `context` is given."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        server: web.Server,
        *,
        most: int,
        timeouts: Timeouts,
        context: ssl.SSLContext | None,
    ) -> None:
        self._listeners = listeners
        self._server = server
        self._most = most
        self._timeouts = timeouts
        self._context = context
        self._open: dict[Connection, None] = {}
        """Ordered by the time since when the client has owed a request, or owed the one that is being answered."""
        self._making: dict[Connection, asyncio.Task[None]] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._dropped = Counter[str](evicted=0, refused=0)
        self._logged_at = -_LOG_EVERY_S
        self._resuming: asyncio.TimerHandle | None = None
        mark_requests(server)
        for listener in listeners:
            listener.setblocking(False)

    def start(self) -> None:
        """Accept connections from now on."""
        self._resuming = None
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Stop accepting; open connections belong to the server."""
        if self._resuming is not None:
            self._resuming.cancel()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()
        for task in self._making.values():
            task.cancel()

    def collect(self) -> Iterator[Metric]:
        """For /metrics."""
        yield GaugeMetricFamily("youtu_edge_connections", "Open connections", value=len(self._open))
        yield GaugeMetricFamily("youtu_edge_connections_max", "Connections that may be open at once", value=self._most)
        dropped = CounterMetricFamily(
            "youtu_edge_connections_dropped", "Connections closed for want of descriptors", labels=["reason"]
        )
        for reason, count in self._dropped.items():
            dropped.add_metric([reason], count)
        yield dropped

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are fixed."""
        return []

    def _accept(self, listener: socket.socket) -> None:
        room = self._most - len(self._open)
        for _ in range(min(max(_BATCH, room), _LARGEST_BATCH)):
            if (wait_s := self._young_for()) > 0:
                self._rest(wait_s)
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            if len(self._open) < self._most or self._evict():
                self._take(connection)
            else:
                self._refuse(connection)

    def _take(self, accepted: socket.socket) -> None:
        connection = Connection(self._server, self._timeouts, self._turned, self._lost)
        self._open[connection] = None
        task = self._making[connection] = asyncio.ensure_future(self._make(accepted, connection))
        task.add_done_callback(lambda _: self._made(connection))

    async def _make(self, accepted: socket.socket, connection: Connection) -> None:
        loop, is_tls = asyncio.get_running_loop(), self._context is not None
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._timeouts.header_s if is_tls else None,
                ssl_shutdown_timeout=_REFUSAL_S if is_tls else None,
            )
        except OSError as error:  # no handshake, or none in time; the transport has closed the socket
            log.debug(line("connection_not_made", reason=str(error)))

    def _made(self, connection: Connection) -> None:
        del self._making[connection]
        if not connection.is_made:
            self._lost(connection)

    def _turned(self, connection: Connection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def _lost(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def _longest_owing(self) -> tuple[float, Connection] | None:
        """The connection whose client has owed a request for the longest time, and since when; None if none does."""
        owing = ((since, connection) for connection in self._open if (since := connection.owes_since) is not None)
        return next(owing, None)

    def _young_for(self) -> float:
        """Seconds until a connection may be evicted; 0 when none has to be, or none can be."""
        if len(self._open) < self._most or (found := self._longest_owing()) is None:
            return 0.0
        return found[0] + _CHANCE_S - asyncio.get_running_loop().time()

    def _evict(self) -> bool:
        """Close the connection whose client has owed a request for the longest time; False if none does."""
        if (found := self._longest_owing()) is None:
            return False
        _, longest = found
        self._lost(longest)
        longest.abort()
        if task := self._making.get(longest):
            task.cancel()
        self._dropped["evicted"] += 1
        self._log_full()
        return True

    def _refuse(self, accepted: socket.socket) -> None:
        self._dropped["refused"] += 1
        self._log_full()
        if len(self._refusals) >= _MOST_REFUSALS or self._context is not None:  # a TLS handshake is not worth it
            accepted.close()
            return
        task = asyncio.ensure_future(self._send_refusal(accepted))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _send_refusal(self, accepted: socket.socket) -> None:
        error = ConnectionLimitError(f"{self._most} connections are busy (service.max_connections); try again later")
        refusal = _Refusal(raw_response(error))
        with contextlib.suppress(OSError):  # the client is gone, or too slow: TimeoutError
            await asyncio.get_running_loop().connect_accepted_socket(lambda: refusal, accepted)
            async with asyncio.timeout(_REFUSAL_S):
                await refusal.lost.wait()
        if refusal.transport is not None:
            refusal.transport.abort()

    def _log_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            log.warning(line("connections_full", max_connections=self._most, **self._dropped))

    def _pause(self, error: OSError) -> None:
        """Out of descriptors: close some connections, and leave new ones in the kernel's backlog for a while."""
        self._rest(_PAUSE_S)
        count = sum(self._evict() for _ in range(_BATCH))
        log.warning(line("accept_paused", reason=error.strerror, connections=len(self._open), closed=count))

    def _rest(self, seconds: float) -> None:
        """Stop accepting for `seconds`; new connections wait in the kernel's backlog."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
        self._resuming = loop.call_later(seconds, self.start)


class _Refusal(asyncio.Protocol):
    """A client that gets a 503. What it sends is discarded: closing at once would reset the connection before it reads."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._response)
        transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
