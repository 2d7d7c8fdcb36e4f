"""CORS for the pages of other sites in service.cors_origins: preflights and response headers.

Off by default: origin_guard rejects foreign pages. No cookie gives any rights, so a list of origins is all that is needed.
"""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.http.handler import Handler

ANY = "*"
_EXPOSED = "X-Request-Id, X-Cache, Retry-After, X-Youtu-Edge-Board, X-Youtu-Edge-Ignored"
_METHODS = "GET, POST, PATCH, DELETE"
_MAX_AGE_S = "600"


def is_allowed(origin: str | None, origins: tuple[str, ...]) -> bool:
    """Whether the configuration allows pages of this origin."""
    return origin is not None and (ANY in origins or origin.lower() in origins)


def install(app: web.Application, origins: tuple[str, ...]) -> None:
    """Answer preflights of these origins before keys are checked, and add the headers to every response for them."""
    if not origins:
        return

    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or not is_allowed(request.headers.get("Origin"), origins):
            return await handler(request)
        headers = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": _MAX_AGE_S}
        if names := request.headers.get("Access-Control-Request-Headers"):
            headers["Access-Control-Allow-Headers"] = names
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        response.headers.add("Vary", "Origin")
        if origin is not None and is_allowed(origin, origins):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    app.middlewares.append(preflight)
    app.on_response_prepare.append(mark)
