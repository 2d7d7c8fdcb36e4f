"""Finds the route of a request, and the scope and error form of requests without one."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from youtu_edge.front.http.error_body import ErrorForm, error_document
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.scope import Scope
from youtu_edge.front.http.similar_names import suggestion


class RouteTable:
    """All routes of the application."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._routes: dict[str, dict[str, Route]] = {}
        for route in self.routes:
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
        """That of the route; for unknown methods and paths, that of the dialect which they belong to."""
        if (route := self.find(request)) is not None:
            return route.error_form
        for path, methods in self._routes.items():
            if request.path == path or request.path.startswith(f"{path}/"):
                return next(iter(methods.values())).error_form
        forms = {route.error_form for route in self.routes if _first_part(route.path) == _first_part(request.path)}
        return forms.pop() if len(forms) == 1 else error_document

    def similar_to(self, request: web.Request) -> str:
        """ "; did you mean `…`?" with the route whose path is most similar to that of the request, or nothing."""
        return suggestion(request.path, {route.path for route in self.routes if route.is_listed})


def _first_part(path: str) -> str:
    return path.partition("/")[2].partition("/")[0]
