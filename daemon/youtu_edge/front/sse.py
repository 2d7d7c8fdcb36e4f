"""Server-sent events on one HTTP response. Knows no dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

REQUEST_ID = "X-Request-Id"
"""Header that carries the request's id, on every answer that was generated."""

KEEPALIVE_S = 10.0
"""A comment is sent after so long a silence, so that proxies and clients do not take a pause for an end."""

_WRITE_TIMEOUT_S = 60.0
"""A client that takes nothing for so long is gone."""


class EventStream:
    """The response once it has begun; `open_stream` begins it."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, documents: Iterable[dict[str, Any] | str]) -> None:
        """Write events in one go: a dict as JSON, a string as it is. Raises ConnectionError when the client is gone."""
        parts = [data.encode() if isinstance(data, str) else msgspec.json.encode(data) for data in documents]
        if parts:
            await self._write(b"".join(b"data: " + part + b"\n\n" for part in parts))

    async def keep_alive(self) -> None:
        """A comment, which every SSE reader skips."""
        await self._write(b": still working\n\n")

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await self.response.write(data)
        except TimeoutError:
            raise ConnectionResetError("the client stopped reading") from None


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
