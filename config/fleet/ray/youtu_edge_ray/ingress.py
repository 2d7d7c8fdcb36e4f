"""The deployment that clients reach: chooses a board, and another one while no byte of an answer has arrived."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from youtu_edge_ray.destination import destination_of
from youtu_edge_ray.messages import Away, Destination, Head, Relayed, end_to_end

log = logging.getLogger("ray.serve")

_TRIES = 6
_FIRST_PAUSE_S = 0.1
"""After a board that died; doubled each time. Serve itself waits until there is a board."""


class Ingress:
    """`boards`: the handle of the boards' deployment."""

    def __init__(self, boards: Any, max_body_bytes: int) -> None:
        self._boards = boards.options(method_name="relay", stream=True)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: Request) -> Response:
        """The answer of a board, streamed as it comes."""
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._max_body_bytes:
                return _error(413, "body_too_large", f"the body has more than {self._max_body_bytes} bytes")
        relayed = _relayed(request, bytes(body))
        try:
            return await self._answered(relayed)
        except BackPressureError:
            return _error(429, "overloaded", "too many requests are waiting for a board; try again later")
        except RayServeException as error:
            return _error(503, "unavailable", f"no board answers: {error}")

    async def _answered(self, relayed: Relayed) -> Response:
        destination = destination_of(relayed)
        pause_s = _FIRST_PAUSE_S
        for tries_left in reversed(range(_TRIES)):
            answer = _Answer(self._boards.remote(relayed, destination=destination))
            first = await answer.first()
            if isinstance(first, Head) and (first.status != 503 or not tries_left):
                return answer.response(first)
            answer.cancel()
            destination = _avoiding(destination, first.board)
            if isinstance(first, Head):
                continue  # it rejected the request before any work was done
            if first.is_sent and not relayed.may_be_sent_again:
                return _error(503, "unavailable", "the board ended; the session may have been changed: look at it")
            log.info("board %s ended without an answer; %d tries left", first.board or "(unknown)", tries_left)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        return _error(503, "unavailable", "no board answers")


class _Answer:
    """What a board sends."""

    def __init__(self, stream: Any) -> None:
        """`stream`: Serve's generator of Head or Away, then bytes."""
        self._stream = stream

    async def first(self) -> Head | Away:
        """Also where the replica, or its node, died before it sent anything. Raises Serve's own errors."""
        try:
            first: Head | Away = await anext(self._stream)
        except (RayError, StopAsyncIteration):
            return Away("", is_sent=True)
        except BaseException:
            self.cancel()
            raise
        return first

    def response(self, head: Head) -> Response:
        """The answer for the client."""
        response = StreamingResponse(self._body(), status_code=head.status)
        response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]
        return response

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                yield piece
        finally:
            self.cancel()

    def cancel(self) -> None:
        """A board that is not asked any more frees its place; without effect at the end of the answer."""
        self._stream.cancel()


def _relayed(request: Request, body: bytes) -> Relayed:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw]
    client = request.client.host if request.client else ""
    forwarded = [value for name, value in headers if name == "x-forwarded-for"]
    headers = [pair for pair in end_to_end(headers) if pair[0] not in ("content-length", "x-forwarded-for", "expect")]
    headers.append(("x-forwarded-for", ", ".join((*forwarded, client))))
    headers.append(("x-forwarded-proto", request.url.scheme))
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return Relayed(request.method, f"{path}?{query}" if query else path, headers, body)


def _avoiding(destination: Destination, board: str) -> Destination:
    return dataclasses.replace(destination, avoided=destination.avoided | {board}) if board else destination


def _error(status: int, code: str, message: str) -> Response:
    """As the daemon's own errors look."""
    kind = "invalid_request_error" if status < 429 else "rate_limit_error" if status == 429 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    retry = {"retry-after": "2"} if status in (429, 503) else {}
    return Response(json.dumps(body), status, retry, "application/json")
