"""Response headers that are set below the dialects, such as the result of the response cache.

They are noted in a context variable while the request is handled, and put on the response when its headers are sent; no
dialect has to pass them on.
"""

from __future__ import annotations

from contextvars import ContextVar

from aiohttp import web

from youtu_edge.front.http.handler import Handler

_NOTES: ContextVar[dict[str, str] | None] = ContextVar("answer_headers", default=None)
_KEY = "answer_headers"

CACHE = "X-Cache"


def note_cache(is_hit: bool) -> None:
    """Record whether an answer of this request came from the response cache; of several, all must for a HIT."""
    if (notes := _NOTES.get()) is not None:
        notes[CACHE] = "HIT" if is_hit and notes.get(CACHE) != "MISS" else "MISS"


def install(app: web.Application) -> None:
    """Send the noted headers with every response of the application."""
    app.middlewares.append(_collect)
    app.on_response_prepare.append(_send)


@web.middleware
async def _collect(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[_KEY] = notes = dict[str, str]()
    token = _NOTES.set(notes)
    try:
        return await handler(request)
    finally:
        _NOTES.reset(token)


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(request.get(_KEY, {}))
