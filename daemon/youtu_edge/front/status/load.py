"""How busy this board is, in a header of every answer, for balancers and clients that choose between boards.

    X-Youtu-Edge-Load: running=3, waiting=1, free-pages=0.82

A dictionary of structured fields (RFC 9651).
"""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.supervision.engine_counters import EngineCounters

HEADER = "X-Youtu-Edge-Load"


class Load:
    """The figures of now: the front's own, and what the engine reported last."""

    def __init__(self, active_requests: ActiveRequests, counters: EngineCounters) -> None:
        self._active = active_requests
        self._counters = counters

    def __str__(self) -> str:
        """running: sequences in the batch; waiting: unfinished requests beyond those; free-pages: share of cache pages
        that no running sequence holds, 0 without an engine."""
        engine = self._counters.total()
        waiting = max(0, len(self._active) - engine.running)
        free = 1 - engine.pages_used / engine.pages_total if engine.pages_total else 0.0
        return f"running={engine.running}, waiting={waiting}, free-pages={free:.2f}"

    def install(self, app: web.Application) -> None:
        """Send the header with every answer of the application but the page's files, whose first paint has to be small."""

        async def mark(request: web.Request, response: web.StreamResponse) -> None:
            if not request.path.startswith("/ui/"):
                response.headers[HEADER] = str(self)

        app.on_response_prepare.append(mark)
