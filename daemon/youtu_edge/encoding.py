"""Values as msgpack and JSON.

Every encoding of the daemon goes through here. msgspec's own `encode` ends the process with SIGSEGV where memory for its
result runs out (0.22.0: it releases a buffer that the failed reallocation has freed); `encode_into` raises MemoryError.
"""

from __future__ import annotations

from typing import Any

import msgspec

_MSGPACK = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()


def msgpack_bytes(value: Any) -> bytes:
    """Raises MemoryError, and what msgspec raises for values that have no msgpack."""
    buffer = bytearray()
    _MSGPACK.encode_into(value, buffer)
    return bytes(buffer)


def json_bytes(value: Any) -> bytes:
    """Raises MemoryError, and what msgspec raises for values that have no JSON."""
    buffer = bytearray()
    _JSON.encode_into(value, buffer)
    return bytes(buffer)
