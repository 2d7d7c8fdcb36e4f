"""The engine's connection to the front: whole messages in both directions, also at the engine's memory limit."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import msgspec

from youtu_edge.engine.incoming import Incoming, read
from youtu_edge.engine.memory.reserve import Reserve
from youtu_edge.protocol.codec import encode_frame
from youtu_edge.protocol.framing import FrameReader
from youtu_edge.protocol.from_engine import FromEngine
from youtu_edge.readable import readable


class FrontGoneError(Exception):
    """The socketpair is closed: the front has died, or wants the engine to exit."""


class Link:
    """The engine's end of the socketpair. Reads and writes succeed even at the memory limit: see `reserve`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.reserve = Reserve()
        self._wakes = os.eventfd(0, os.EFD_NONBLOCK)
        self._reader = FrameReader()
        self._buffer = bytearray(1 << 16)  # allocated once: a read must not fail at the engine's memory limit

    def send(self, message: FromEngine | msgspec.Raw) -> None:
        """Write one frame; raises FrontGoneError."""
        frames: list[bytes] = []
        self._with_reserve(lambda: frames.append(encode_frame(message)))
        try:
            self._socket.sendall(frames[0])
        except OSError:
            raise FrontGoneError from None

    def wake(self) -> None:
        """Make the current or next `receive` return at once; for other threads."""
        os.eventfd_write(self._wakes, 1)

    def receive(self, timeout_s: float) -> list[Incoming]:
        """Messages that arrive within the timeout; an empty list if none does, or on `wake`.

        Raises FrontGoneError.
        """
        ready = readable(timeout_s, self._socket.fileno(), self._wakes)
        if self._wakes in ready:
            os.eventfd_read(self._wakes)
        if self._socket.fileno() not in ready:
            return []
        try:
            size = self._socket.recv_into(self._buffer)
        except OSError:
            raise FrontGoneError from None
        if not size:
            raise FrontGoneError
        self._with_reserve(lambda: self._reader.add(memoryview(self._buffer)[:size]))
        messages: list[Incoming] = []
        self._with_reserve(lambda: messages.extend(map(read, self._reader.bodies())))
        return messages

    def _with_reserve(self, work: Callable[[], None]) -> None:
        try:
            work()
        except MemoryError:
            if not self.reserve.release():
                raise
            work()
