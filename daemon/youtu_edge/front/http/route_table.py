"""Which route a request is for, and what holds for requests that are for none."""

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
        """The route that answers it; None when nothing is there or the method is another one."""
        resource = request.match_info.route.resource
        methods = self._routes.get(resource.canonical, {}) if resource is not None else {}
        return methods.get("GET" if request.method == "HEAD" else request.method)

    def scope(self, request: web.Request) -> Scope | None:
        """What the caller's key has to allow. A path that nobody thought of is not open."""
        route = self.find(request)
        return route.scope if route is not None else "chat"

    def error_form(self, request: web.Request) -> ErrorForm:
        """Of the route; below and beside a dialect's routes errors are told in its words as well."""
        if (route := self.find(request)) is not None:
            return route.error_form
        for path, methods in self._routes.items():
            if request.path == path or request.path.startswith(f"{path}/"):
                return next(iter(methods.values())).error_form
        return error_document
