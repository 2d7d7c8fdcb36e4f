"""What the headers of a request say about its durability.

    Idempotency-Key: K    keep this request on the device; the same request with the same key gets the same answer
    Last-Event-ID: N      of its stream, send only what follows event number N

A context variable, because it concerns every dialect alike and none of them should have to pass it on: the middleware sets
it, the body reader adds the body, and the generation core acts on it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from youtu_edge.errors import InvalidRequestError, UnsupportedParameterError
from youtu_edge.front.keys.caller import owner

KEY_HEADER = "Idempotency-Key"
LAST_EVENT_HEADER = "Last-Event-ID"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
NUMBER = re.compile(r"[0-9]{1,12}")

if TYPE_CHECKING:
    from youtu_edge.front.durable.durable_requests import DurableRequests

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Intent:
    """One request that is to be durable."""

    key: str | None
    """Caller, path and Idempotency-Key; None: the request's own id is enough."""
    path: str
    requests: DurableRequests
    last_event: int = 0
    body: bytes = b""


INTENT: ContextVar[Intent | None] = ContextVar("intent", default=None)


def make_durable_middleware(requests: DurableRequests, paths: Collection[str]) -> Any:
    """Middleware that reads the headers of POST requests to `paths`, those that generate. Raises InvalidRequestError naming
    the one that is wrong, and UnsupportedParameterError for the key on any other path."""

    @web.middleware
    async def durable(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in paths and KEY_HEADER in request.headers and request.method == "POST":
            raise UnsupportedParameterError(f"{KEY_HEADER}: only for requests that generate", param=KEY_HEADER)
        intent = _intent(request, requests) if request.method == "POST" else None
        if intent is None:
            return await handler(request)
        token = INTENT.set(intent)
        try:
            return await handler(request)
        finally:
            INTENT.reset(token)

    return durable


def _intent(request: web.Request, requests: DurableRequests) -> Intent | None:
    key, last = request.headers.get(KEY_HEADER), request.headers.get(LAST_EVENT_HEADER)
    if key is None:
        if last is not None:
            raise InvalidRequestError(f"{LAST_EVENT_HEADER}: only together with {KEY_HEADER}", param=LAST_EVENT_HEADER)
        return None
    if not KEY.fullmatch(key):
        raise InvalidRequestError(f"{KEY_HEADER}: must be 1 to 255 visible ASCII characters", param=KEY_HEADER)
    return Intent(
        key=f"{owner()} {request.path} {key}", path=request.path, requests=requests, last_event=last_event_number(last)
    )


def last_event_number(text: str | None, name: str = LAST_EVENT_HEADER) -> int:
    """The number of the last event that a client has; 0 for none. Raises InvalidRequestError naming `name`."""
    if text is None:
        return 0
    if not NUMBER.fullmatch(text):
        raise InvalidRequestError(f"{name}: {text[:40]!r} is not the number of an event", param=name)
    return int(text)
