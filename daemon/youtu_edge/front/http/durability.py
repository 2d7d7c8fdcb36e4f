"""The headers of durable requests, as they are written.

Idempotency-Key: K    keep this request on the device; the same request with the same key gets the same answer
Last-Event-ID: N      of its stream, send only what follows event number N
"""

from __future__ import annotations

import re

from youtu_edge.request_errors import InvalidRequestError

KEY_HEADER = "Idempotency-Key"
LAST_EVENT_HEADER = "Last-Event-ID"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
NUMBER = re.compile(r"[0-9]{1,12}")


def last_event_number(text: str | None, name: str = LAST_EVENT_HEADER) -> int:
    """The number of the last event that a client has; 0 for none. Raises InvalidRequestError naming `name`."""
    if text is None:
        return 0
    if not NUMBER.fullmatch(text):
        raise InvalidRequestError(f"{name}: {text[:40]!r} is not an event number", param=name)
    return int(text)
