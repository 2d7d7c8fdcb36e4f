"""Reads the headers of durable requests (http.durability), once, before the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from youtu_edge.front.http.durability import KEY, KEY_HEADER, LAST_EVENT_HEADER, last_event_number
from youtu_edge.front.http.handler import Handler
from youtu_edge.front.http.route import Route
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError

_NOTED = "durability"
_KEEPING = "POST /v1/chat/completions or POST /chat"
"""Routes that take a key."""


class Durability(msgspec.Struct, frozen=True):
    """The headers of a durable request."""

    key: str | None
    """Caller, path and Idempotency-Key; None: the request's own id is enough."""
    path: str
    last_event: int = 0


def durability(request: web.Request) -> Durability | None:
    """The headers as read by the middleware; None: the request is not durable."""
    noted: Durability | None = request.get(_NOTED)
    return noted


def make_durability_middleware(route_of: Callable[[web.Request], Route | None]) -> Any:
    """Middleware that reads the headers of requests that generate. Raises InvalidRequestError naming
    the one that is wrong, and UnsupportedParameterError for the key on any other route."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            route = route_of(request)
            if KEY_HEADER in request.headers and (route is None or not route.generates):
                raise UnsupportedParameterError(f"{KEY_HEADER}: only for requests that generate", param=KEY_HEADER)
            if KEY_HEADER in request.headers and route is not None and not route.takes_key:
                raise UnsupportedParameterError(
                    f"{KEY_HEADER}: not supported on this route; use {_KEEPING}", param=KEY_HEADER
                )
            request[_NOTED] = _read(request)
        return await handler(request)

    return note


def _read(request: web.Request) -> Durability | None:
    key, last = request.headers.get(KEY_HEADER), request.headers.get(LAST_EVENT_HEADER)
    if key is None:
        if last is not None:
            raise InvalidRequestError(f"{LAST_EVENT_HEADER}: needs {KEY_HEADER}", param=LAST_EVENT_HEADER)
        return None
    if not KEY.fullmatch(key):
        raise InvalidRequestError(f"{KEY_HEADER}: must be 1 to 255 visible ASCII characters", param=KEY_HEADER)
    return Durability(f"{owner()} {request.path} {key}", request.path, last_event_number(last))
