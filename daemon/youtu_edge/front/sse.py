"""Server-sent events on one HTTP response. Knows no dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from youtu_edge.front.durable_intent import INTENT

REQUEST_ID = "X-Request-Id"
"""Header that carries the request's id, on every answer that was generated."""

KEEPALIVE_S = 10.0
"""A comment is sent after so long a silence, so that proxies and clients do not take a pause for an end."""

_WRITE_TIMEOUT_S = 60.0
"""A client that takes nothing for so long is gone."""


class EventStream:
    """The response once it has begun; `open_stream` begins it.

    The events of a durable request are numbered from 1, and those that the client has already are left out.
    """

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        intent = INTENT.get()
        self._is_numbered = intent is not None
        self._skip = intent.last_event if intent else 0
        self._number = 0

    async def send(self, documents: Iterable[dict[str, Any] | msgspec.Struct | str]) -> None:
        """Write events in one go: a string as it is, all else as JSON; a tagged struct is an event named by its tag.

        Raises ConnectionError when the client is gone.
        """
        parts = []
        for document in documents:
            self._number += 1
            if self._number > self._skip:
                name = b"id: %d\n" % self._number if self._is_numbered else b""
                parts.append(name + _data(document))
        if parts:
            await self._write(b"".join(parts))

    async def send_error(self, document: dict[str, Any] | msgspec.Struct) -> None:
        """The last event of a stream that broke off; it is no part of the answer and has no number."""
        await self._write(_data(document))

    async def keep_alive(self) -> None:
        """A comment, which every SSE reader skips."""
        await self._write(b": still working\n\n")

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await self.response.write(data)
        except TimeoutError:
            raise ConnectionResetError("the client stopped reading") from None


def _data(document: dict[str, Any] | msgspec.Struct | str) -> bytes:
    if isinstance(document, str):
        return b"data: " + document.encode() + b"\n\n"
    tag = document.__struct_config__.tag if isinstance(document, msgspec.Struct) else None
    name = f"event: {tag}\n".encode() if tag else b""
    return name + b"data: " + msgspec.json.encode(document) + b"\n\n"


async def open_stream(request: web.Request, request_id: str) -> EventStream:
    """Send status 200 and the headers of an event stream."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            REQUEST_ID: request_id,
        }
    )
    await response.prepare(request)
    return EventStream(response)
