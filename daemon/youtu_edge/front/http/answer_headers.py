"""Response headers that are set below the dialects, such as the result of the response cache.

They are noted in a context variable while the request is handled, and put on the response when its headers are sent; no
dialect has to pass them on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import ContextVar

from aiohttp import web

from youtu_edge.front.http.handler import Handler
from youtu_edge.log import line

log = logging.getLogger(__name__)

_NOTES: ContextVar[dict[str, str] | None] = ContextVar("answer_headers", default=None)
_KEY = "answer_headers"

CACHE = "X-Cache"
IGNORED = "X-Youtu-Edge-Ignored"


def note_cache(is_hit: bool) -> None:
    """Record whether an answer of this request came from the response cache; of several, all must for a HIT."""
    if (notes := _NOTES.get()) is not None:
        notes[CACHE] = "HIT" if is_hit and notes.get(CACHE) != "MISS" else "MISS"


def note_ignored(fields: Sequence[str]) -> None:
    """Record the fields of the body that were accepted and have no effect."""
    if fields and (notes := _NOTES.get()) is not None:
        notes[IGNORED] = ", ".join(fields)


def install(app: web.Application) -> None:
    """Send the noted headers with every response of the application."""
    logged = set[tuple[str, str]]()

    async def send(request: web.Request, response: web.StreamResponse) -> None:
        notes = request.get(_KEY, {})
        response.headers.update(notes)
        if ignored := notes.get(IGNORED):
            _log_ignored(request, ignored.split(", "), logged)

    app.middlewares.append(_collect)
    app.on_response_prepare.append(send)


@web.middleware
async def _collect(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[_KEY] = notes = dict[str, str]()
    token = _NOTES.set(notes)
    try:
        return await handler(request)
    finally:
        _NOTES.reset(token)


def _log_ignored(request: web.Request, fields: Sequence[str], logged: set[tuple[str, str]]) -> None:
    """Log each field once for each route; a client that sends it with every request fills no log."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else ""
    for field in fields:
        if (route, field) not in logged:
            logged.add((route, field))
            log.info(line("field_ignored", route=route, field=field))
