"""Messages as frames."""

from __future__ import annotations

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.protocol.framing import frame
from youtu_edge.protocol.from_engine import FromEngine
from youtu_edge.protocol.to_engine import ToEngine


def encode_frame(message: ToEngine | FromEngine | msgspec.Raw) -> bytes:
    """One message, which may be encoded already, as one frame. Raises FramingError when it is too large."""
    return frame(msgpack_bytes(message))
