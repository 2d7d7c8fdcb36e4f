"""A stream of JSON documents, one on each line, on one HTTP response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from youtu_edge.encoding import json_bytes
from youtu_edge.front.http.sse import EventNumbers, begin_stream

NDJSON = "application/x-ndjson"


class LineStream:
    """The response once it has begun; `open_lines` begins it."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, documents: Iterable[Mapping[str, object] | msgspec.Struct | str]) -> None:
        """Write lines in one go. Raises ConnectionError when the client is gone."""
        if lines := b"".join(json_bytes(document) + b"\n" for document in documents):
            await self.response.write(lines)

    async def send_error(self, document: Mapping[str, object] | msgspec.Struct) -> None:
        """Send the last line of a stream that failed."""
        await self.send([document])

    async def keep_alive(self) -> None:
        """Nothing: every line is a document, and not every reader skips an empty one."""


async def open_lines(request: web.Request, request_id: str, numbers: EventNumbers | None = None) -> LineStream:
    """Send status 200 and the headers of a stream of lines, which have no numbers."""
    assert numbers is None, "a route that streams lines takes no Idempotency-Key"
    return LineStream(await begin_stream(request, request_id, NDJSON))
