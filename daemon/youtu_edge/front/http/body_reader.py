"""Reads request bodies within a limit and a deadline; rejects larger ones before they are sent if the client waits."""

from __future__ import annotations

import asyncio

from aiohttp import web

from youtu_edge.errors import OverloadedError
from youtu_edge.front.http.error_body import ErrorForm, error_document, error_response
from youtu_edge.front.http.inflater import ENCODINGS, Inflater
from youtu_edge.request_errors import BodyTooLargeError, InvalidRequestError, RequestTimeoutError, UnsupportedParameterError

_LARGE_BODIES = 8
"""Bodies of the largest size that may be in flight at once: the front has little memory."""
_SMALL_BYTES = 64 * 1024
"""A body up to this size is read whatever else is in flight."""


class BodyReader:
    """`read` and `expect` for routes that take a body of at most `max_bytes`, complete within `timeout_s`."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._held = 0

    def configure(self, max_bytes: int) -> None:
        """Use another limit from the next body on."""
        self._max_bytes = max_bytes

    async def read(self, request: web.Request) -> bytes:
        """The whole body, without its Content-Encoding.

        Raises BodyTooLargeError as soon as it is known to be too large, RequestTimeoutError when it is late,
        OverloadedError when too much is in flight, InvalidRequestError or UnsupportedParameterError for its encoding.
        """
        self._check(request.content_length or 0)
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._receive(request, body)
        except TimeoutError:
            raise RequestTimeoutError(
                f"the body was not complete within {self._timeout_s:g} s (service.body_timeout_s)"
            ) from None
        except web.RequestPayloadError:
            raise InvalidRequestError("the body does not match its Transfer-Encoding or Content-Length") from None
        finally:
            self._held -= len(body)
        return bytes(body)

    async def expect(self, request: web.Request, form: ErrorForm = error_document) -> web.StreamResponse | None:
        """Answer "Expect: 100-continue": continue only if the body will be read."""
        try:
            self._check(request.content_length or 0)
        except BodyTooLargeError as error:  # no middleware runs this early
            return error_response(error, form)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    async def _receive(self, request: web.Request, body: bytearray) -> None:
        inflater = _inflater(request)
        async for piece in request.content.iter_any():
            for part in inflater.feed(piece) if inflater else (piece,):
                body += part
                self._held += len(part)
                self._check(len(body))
                if self._held > _LARGE_BODIES * self._max_bytes and len(body) > _SMALL_BYTES:
                    raise OverloadedError("too many large bodies are in flight; try again later")
        if inflater:
            inflater.finish()

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLargeError(f"the body exceeds {self._max_bytes} bytes (service.max_body_bytes)")


def _inflater(request: web.Request) -> Inflater | None:
    """The decoder of the body's Content-Encoding, if it has one. Raises UnsupportedParameterError."""
    name = ",".join(request.headers.getall("Content-Encoding", [])).strip().lower()
    if name in ("", "identity"):
        return None
    if name not in ENCODINGS:
        raise UnsupportedParameterError(
            f"Content-Encoding: {name[:40]!r} is not supported; use gzip, deflate or none",
            param="Content-Encoding",
        )
    return Inflater(name)
