"""Puts routes, middlewares and handlers together; every handler class lists its routes with their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from aiohttp import web

from youtu_edge.config import Config
from youtu_edge.front.http.error_body import make_error_middleware
from youtu_edge.front.http.openapi import OpenApiHandler
from youtu_edge.front.http.origin_guard import make_guard_middleware
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.route_table import RouteTable


class Handlers(Protocol):
    """Handlers of one subject."""

    def routes(self) -> list[Route]:
        """Each with its path, body and answers; `/openapi.json` is made from them."""


def make_app(
    config: Config, groups: Iterable[Handlers], expect: Any, on_refused: Callable[[str], None]
) -> tuple[web.Application, RouteTable]:
    """The aiohttp application, which holds no state of its own, and its routes. `expect` answers "Expect: 100-continue"."""
    routes = [route for group in groups for route in group.routes()]
    document = OpenApiHandler(routes)
    routes.append(Route("GET", "/openapi.json", document.openapi, scope=None))
    table = RouteTable(routes)
    errors = make_error_middleware(table.error_form, table.similar_to, on_refused)
    app = web.Application(middlewares=[errors, make_guard_middleware(config.service)])
    for route in routes:
        route.install(app, expect)
    return app, table
