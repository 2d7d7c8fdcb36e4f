"""One engine process and the socketpair to it.

front  ── encode_frame ──>  socketpair  ──>  engine (--fd N)
       <── FrameReader ───                       EOF = the engine is dead
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Sequence

import msgspec

from youtu_edge.log import line
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.framing import FrameReader, FramingError
from youtu_edge.protocol.from_engine import FROM_ENGINE, FromEngine
from youtu_edge.protocol.to_engine import ToEngine

log = logging.getLogger(__name__)

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
"""Out of descriptors, processes or memory: starting the process may succeed a moment later."""
_SHORTAGE_WAIT_S = 0.5
_END_GRACE_S = 2.0
"""At most this between EOF and the exit of the process (core dump, unmapping weights), or between its exit and EOF."""


class EngineLink:
    """A running engine. Make one with `start_engine`."""

    def __init__(self, process: subprocess.Popen[bytes], on_message: Callable[[FromEngine], None]) -> None:
        self._process = process
        self._on_message = on_message
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._eof = asyncio.Event()
        self._exited = asyncio.Event()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self._process.pid

    def send(self, message: ToEngine) -> None:
        """Queue one message; dropped if the engine is dead, which `wait_closed` reports."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_frame(message))

    def kill(self) -> None:
        """SIGKILL, for an engine that hangs or is no longer needed."""
        if not self._exited.is_set():
            self._process.kill()

    async def wait_closed(self) -> int:
        """Wait for EOF and the end of the process; return its exit code, or minus the signal that ended it."""
        ends = [asyncio.ensure_future(self._eof.wait()), asyncio.ensure_future(self._exited.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ends, timeout=_END_GRACE_S)
            self.kill()
            await self._exited.wait()
        finally:
            for end in ends:
                end.cancel()
            if self._transport is not None:
                self._transport.abort()
        code: int = self._process.returncode
        return code

    def connected(self, transport: asyncio.Transport) -> None:
        """Called by the wire: messages can be sent from now on."""
        self._transport = transport

    def received(self, data: bytes) -> None:
        """Called by the wire: bytes arrived. An invalid stream gets the engine killed."""
        try:
            for body in self._reader.feed(data):
                self._on_message(FROM_ENGINE.decode(body))
        except (FramingError, msgspec.MsgspecError) as error:
            log.error(line("engine_protocol_error", pid=self.pid, error=str(error)))
            self.kill()

    def disconnected(self) -> None:
        """Called by the wire: EOF."""
        if self._reader.pending_bytes:
            log.warning(line("engine_died_while_writing", pid=self.pid, lost_bytes=self._reader.pending_bytes))
        self._eof.set()

    def _reap(self) -> None:
        if self._process.poll() is not None and not self._exited.is_set():
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._exited.set()


class _Wire(asyncio.Protocol):
    def __init__(self, link: EngineLink, connection: socket.socket) -> None:
        self._link = link
        self._socket = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._link.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        # After a failed write the transport stops reading; the last messages of the dead engine are still in the socket.
        with contextlib.suppress(OSError):
            while exc is not None and (data := self._socket.recv(1 << 16)):
                self._link.received(data)
        self._link.disconnected()


async def start_engine(argv: Sequence[str], on_message: Callable[[FromEngine], None]) -> EngineLink:
    """Spawn `argv --fd N` and connect to it. `on_message` is called in the event loop, in order. Raises OSError."""
    if os.getpid() == 1:
        _reap_orphans()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 (spawning takes about a millisecond)
            [*argv, "--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    try:
        link = EngineLink(process, on_message)
    except OSError:  # no descriptor left to watch it with
        ours.close()
        process.kill()
        process.wait()
        raise
    await asyncio.get_running_loop().create_connection(lambda: _Wire(link, ours), sock=ours)
    return link


async def start_engine_patiently(
    argv: Sequence[str], on_message: Callable[[FromEngine], None], may_wait: Callable[[], bool]
) -> EngineLink:
    """`start_engine`, retried while the system is out of resources and `may_wait` is true. Raises OSError."""
    while True:
        try:
            return await start_engine(argv, on_message)
        except OSError as error:
            if error.errno not in _SHORTAGES or not may_wait():
                raise
            log.warning(line("engine_not_started", reason=error.strerror, effect="retrying"))
            await asyncio.sleep(_SHORTAGE_WAIT_S)


def _reap_orphans() -> None:
    """Reap processes that earlier engines left: the kernel reparents them to us as PID 1 of a container.

    Between two engines we have no other children.
    """
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
