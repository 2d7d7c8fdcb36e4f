"""Server-sent events on one HTTP response."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from youtu_edge.encoding import json_bytes

REQUEST_ID = "X-Request-Id"
"""Header that carries the request's id, on every answer that was generated."""

KEEPALIVE_S = 10.0
"""A comment is sent after this much silence, so that proxies and clients do not time out."""

_SEND_BUFFER = 128 * 1024
"""The kernel's, for one stream; unbounded it grows to megabytes, which a slow client reads much later."""


class EventNumbers(msgspec.Struct):
    """Events that have numbers (`id:`), so that a client can resume where it stopped."""

    next: int
    """Number of the next one."""
    seen: int
    """The client has them up to this number; they are skipped."""


class EventStream:
    """The response once it has begun; `open_stream` begins it. `numbers` None: events have none."""

    def __init__(self, response: web.StreamResponse, numbers: EventNumbers | None) -> None:
        self.response = response
        self._numbers = numbers

    async def send(self, documents: Iterable[Mapping[str, object] | msgspec.Struct | str]) -> None:
        """Write events in one go: a string as it is, all else as JSON; a tagged struct is an event named by its tag.

        Raises ConnectionError when the client is gone.
        """
        parts = []
        for document in documents:
            name = b""
            if numbers := self._numbers:
                number, numbers.next = numbers.next, numbers.next + 1
                if number <= numbers.seen:
                    continue
                name = b"id: %d\n" % number
            parts.append(name + _data(document))
        if parts:
            await self._write(b"".join(parts))

    async def send_error(self, document: Mapping[str, object] | msgspec.Struct) -> None:
        """Send the last event of a stream that failed; it is not part of the answer and has no number."""
        await self._write(_data(document))

    async def keep_alive(self) -> None:
        """A comment, which every SSE reader skips."""
        await self._write(b": still working\n\n")

    async def _write(self, data: bytes) -> None:
        await self.response.write(data)


def _data(document: Mapping[str, object] | msgspec.Struct | str) -> bytes:
    if isinstance(document, str):
        return b"data: " + document.encode() + b"\n\n"
    tag = document.__struct_config__.tag if isinstance(document, msgspec.Struct) else None
    name = f"event: {tag}\n".encode() if tag else b""
    return name + b"data: " + json_bytes(document) + b"\n\n"


async def open_stream(request: web.Request, request_id: str, numbers: EventNumbers | None = None) -> EventStream:
    """Send status 200 and the headers of an event stream."""
    return EventStream(await begin_stream(request, request_id, "text/event-stream; charset=utf-8"), numbers)


async def begin_stream(request: web.Request, request_id: str, content_type: str) -> web.StreamResponse:
    """Send status 200 and the headers of a stream of any form."""
    response = web.StreamResponse(
        headers={
            "Content-Type": content_type,
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            REQUEST_ID: request_id,
        }
    )
    connection = request.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    await response.prepare(request)
    return response
