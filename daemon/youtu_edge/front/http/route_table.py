"""Finds the route of a request, and the scope and error form of requests without one."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from youtu_edge.front.http.error_body import ErrorForm, error_document
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.scope import Scope


class RouteTable:
    """All routes of the application."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._routes.setdefault(route.path, {})[route.method] = route

    def find(self, request: web.Request) -> Route | None:
        """The route that answers it; None for an unknown path or method."""
        resource = request.match_info.route.resource
        methods = self._routes.get(resource.canonical, {}) if resource is not None else {}
        return methods.get("GET" if request.method == "HEAD" else request.method)

    def scope(self, request: web.Request) -> Scope | None:
        """What the caller's key has to allow. Unknown paths are not public."""
        route = self.find(request)
        return route.scope if route is not None else "chat"

    def error_form(self, request: web.Request) -> ErrorForm:
        """That of the route; for unknown methods and paths below a dialect's route, that of the dialect."""
        if (route := self.find(request)) is not None:
            return route.error_form
        for path, methods in self._routes.items():
            if request.path == path or request.path.startswith(f"{path}/"):
                return next(iter(methods.values())).error_form
        return error_document
