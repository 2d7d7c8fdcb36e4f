"""Messages on a stream of bytes, one after the other.

| length: uint32 little endian | body |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated

MAX_FRAME_BYTES = 64 * 1024 * 1024
_HEADER = struct.Struct("<I")


class FramingError(Exception):
    """The byte stream is not a sequence of frames; the connection cannot be used further."""


def frame(body: bytes) -> bytes:
    """A body as one frame. Raises FramingError when it exceeds MAX_FRAME_BYTES."""
    if len(body) > MAX_FRAME_BYTES:
        raise FramingError(f"message of {len(body)} bytes exceeds the frame limit of {MAX_FRAME_BYTES}")
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Splits a byte stream into frame bodies; feed it whatever the socket delivers."""

    def __init__(self, max_frame_bytes: Annotated[int, "bytes"] = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max = max_frame_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """`add(data)`, then `bodies()`."""
        self.add(data)
        yield from self.bodies()

    def add(self, data: bytes | memoryview) -> None:
        """Append `data` to the buffer: all of it, or nothing on MemoryError."""
        self._buffer += data

    def bodies(self) -> Iterator[bytes]:
        """Yield every body that is complete now. Raises FramingError on an oversized header.

        A body is removed only when the next one is requested: if the caller raises before that, it is yielded again.
        """
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > self._max:
                raise FramingError(f"frame of {length} bytes exceeds the limit of {self._max}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            yield bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame; nonzero at EOF means that the peer died mid-write."""
        return len(self._buffer)
