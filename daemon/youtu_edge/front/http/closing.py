"""Closes connections after their next answer once the daemon is going to stop.

A balancer keeps idle connections for later requests; one that the daemon closes while a request is on its way is a request
lost, or sent twice.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


def install(app: web.Application, is_leaving: Callable[[], bool]) -> None:
    """Answer with `Connection: close` while `is_leaving`."""

    async def close(request: web.Request, response: web.StreamResponse) -> None:
        if is_leaving():
            response.headers["Connection"] = "close"
            response.force_close()

    app.on_response_prepare.append(close)
