"""Reads request bodies up to a limit, and refuses larger ones before they are sent where the client allows it."""

from __future__ import annotations

from aiohttp import web

from youtu_edge.errors import BodyTooLargeError
from youtu_edge.front.http.error_body import error_response
from youtu_edge.front.requests.durable_intent import INTENT


class BodyReader:
    """`read` and `expect` for routes that take a body of at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def configure(self, max_bytes: int) -> None:
        """Use another limit from the next body on."""
        self._max_bytes = max_bytes

    async def read(self, request: web.Request) -> bytes:
        """The whole body. Raises BodyTooLargeError as soon as it is known to be too large."""
        self._check(request.content_length or 0)
        body = bytearray()
        async for piece in request.content.iter_any():
            body += piece
            self._check(len(body))
        if intent := INTENT.get():
            intent.body = bytes(body)
        return bytes(body)

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Answer "Expect: 100-continue": only a body that will be read may be sent."""
        try:
            self._check(request.content_length or 0)
        except BodyTooLargeError as error:  # the middlewares do not see what happens this early
            return error_response(error, request.path)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLargeError(f"the body exceeds {self._max_bytes} bytes (service.max_body_bytes)")
