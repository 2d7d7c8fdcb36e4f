"""The OpenAPI 3.2 document, made from the table of routes and their msgspec types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from aiohttp import web

from youtu_edge import __version__
from youtu_edge.encoding import json_bytes
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.http.answer_headers import IGNORED
from youtu_edge.front.http.durability import KEY, KEY_HEADER, LAST_EVENT_HEADER, NUMBER
from youtu_edge.front.http.error_body import ErrorDocument
from youtu_edge.front.http.ndjson import NDJSON
from youtu_edge.front.http.openapi_fields import describe_others
from youtu_edge.front.http.route import Route
from youtu_edge.request_errors import RequestError

_JSON = "application/json"
_TEXT = "text/plain"
_EVENTS = "text/event-stream"
_REF = "#/components/schemas/{name}"

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Needed once the daemon has keys"},
    "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key, Anthropic's way"},
}

_HEADERS = {
    "X-Youtu-Edge-Board": {"description": "Name of the board that answers", "schema": {"type": "string"}},
    "X-Youtu-Edge-Load": {
        "description": "How busy it is: running=3, waiting=1, free-pages=0.82 (a dictionary of RFC 9651)",
        "schema": {"type": "string"},
    },
}
"""On every answer."""


class OpenApiHandler:
    """Serves the document, which is generated on the first request and kept."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = routes
        self._document = b""

    async def openapi(self, request: web.Request) -> web.Response:
        """GET /openapi.json: this document."""
        if not self._document:
            self._document = json_bytes(openapi_document(self._routes))
        return web.Response(body=self._document, content_type=_JSON)


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Every route with its parameters, body, answers and errors."""
    routes = [route for route in routes if route.is_listed]
    types = list(dict.fromkeys(_types(routes)))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    for kind in {kind for route in routes for kind in route.untagged}:
        components[kind.__name__]["required"].remove(kind.__struct_config__.tag_field)
    queries = {route.query.__name__ for route in routes if route.query is not None}
    for name, component in components.items():
        if component.get("additionalProperties") is False and name not in queries:
            component["additionalProperties"] = {"type": "null"}
            _allow_null(component)
        elif any(getattr(route.body, "__name__", "") == name for route in routes):  # further fields are ignored
            for nested in [name, *re.findall(r"schemas/(\w+)", str(component))]:
                _allow_null(components[nested])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        describe_others(route.others, schema_of.get(route.body, {}), components)
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of, components)
    return {
        "openapi": "3.2.0",
        "info": {"title": "youtu-edge", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components, "headers": _HEADERS, "securitySchemes": _KEYS},
    }


def _allow_null(component: dict[str, Any]) -> None:
    """A field that is null is absent, whatever its name (nulls.py)."""
    required = component.get("required", ())
    for name, schema in component["properties"].items():
        alternatives = schema.get("anyOf", [schema])
        if name not in required and schema and {"type": "null"} not in alternatives:
            about = schema if "anyOf" in schema else {}
            component["properties"][name] = {**about, "anyOf": [*alternatives, {"type": "null"}]}


_DURABILITY = [
    {"name": KEY_HEADER, "in": "header", "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"}},
    {"name": LAST_EVENT_HEADER, "in": "header", "schema": {"type": "string", "pattern": f"^{NUMBER.pattern}$"}},
]


def _types(routes: list[Route]) -> Iterator[Any]:
    yield ErrorDocument
    for route in routes:
        used = (route.body, route.query, route.answer, route.events, route.lines, route.error, *route.errors.values())
        yield from (kind for kind in used if kind not in (None, str))


def _operation(route: Route, schema_of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": route.summary, "operationId": _operation_id(route)}
    if route.scope is not None:
        operation["security"] = [{}, *({name: []} for name in _KEYS)]
    parameters = [_path_parameter(name) for name in route.parameters]
    if route.query is not None:
        parameters += _query_parameters(components[route.query.__name__])
    if route.generates and route.takes_key:
        parameters += _DURABILITY
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema_of[route.body]}}}
    done = {_success_status(route): _success(route, schema_of)} if route.is_offered else {}
    operation["responses"] = done | {
        str(status): _error(status, kind, schema_of) for status, kind in sorted(_errors(route).items())
    }
    for response in operation["responses"].values():
        response.setdefault("headers", {}).update({name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS})
    return operation


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "by_").replace("}", "").replace(".", "_").replace("-", "_").split("/")
    return "_".join([route.method.lower(), *(word for word in words if word)])


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(component: dict[str, Any]) -> list[dict[str, Any]]:
    required = component.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in component["properties"].items()
    ]


def _success_status(route: Route) -> str:
    return "204" if route.answer is None and route.events is None else "200"


def _success(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    content = {} if route.answer is None else _content(route.answer, schema_of, route.content_type)
    if route.events is not None:
        content[_EVENTS] = {"itemSchema": _event(route, schema_of)}
    if route.lines is not None:
        content[NDJSON] = {"itemSchema": {"anyOf": [schema_of[route.lines], schema_of[route.error or ErrorDocument]]}}
    headers = {IGNORED: {"description": "Fields that were ignored", "schema": {"type": "string"}}} if route.others else {}
    return {"description": "Done"} | ({"content": content} if content else {}) | ({"headers": headers} if headers else {})


def _event(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    """One server-sent event (OpenAPI 3.2, section 4.14.4): JSON inside of a string; a failed stream ends with an error."""
    document = {"anyOf": [schema_of[route.events], schema_of[route.error or ErrorDocument]]}
    data: dict[str, Any] = {"type": "string", "contentMediaType": _JSON, "contentSchema": document}
    if route.last_event:
        data = {"anyOf": [{"const": route.last_event}, data]}
    return {
        "type": "object",
        "properties": {"data": data, "event": {"type": "string"}, "id": {"type": "string"}},
        "required": ["data"],
    }


def _errors(route: Route) -> dict[int, Any]:
    """Type of the document of each error status."""
    statuses = {400, 403, 500}
    if route.body is not None:
        statuses |= {408, 413, 429}
    if route.parameters:
        statuses.add(404)
    if route.generates or route.queries:
        statuses |= {404, 429, 503, 504}
    if route.generates and route.takes_key:
        statuses |= {410, 422}
    if route.needs_storage:
        statuses.add(503)
    if route.scope is not None:
        statuses.add(401)
    return dict.fromkeys(statuses, route.error or ErrorDocument) | route.errors


def _error(status: int, kind: Any, schema_of: dict[Any, Any]) -> dict[str, Any]:
    codes = {error.code for error in _subclasses(YoutuEdgeError) if error.http_status == status and _is_answered(error)}
    answer: dict[str, Any] = {"description": f"code: {', '.join(sorted(codes))}", "content": _content(kind, schema_of)}
    if status in (429, 503) and kind is not str:
        seconds = {"description": "Seconds; absent when waiting does not help", "schema": {"type": "string"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _content(kind: Any, schema_of: dict[Any, Any], content_type: str = "") -> dict[str, Any]:
    if kind is str:
        return {content_type or _TEXT: {"schema": {"type": "string"}}}
    return {content_type or _JSON: {"schema": schema_of[kind]}}


def _is_answered(kind: type[YoutuEdgeError]) -> bool:
    return issubclass(kind, RequestError) or "http_status" in vars(kind) or kind.code == "internal_error"


def _subclasses(kind: type[YoutuEdgeError]) -> Iterator[type[YoutuEdgeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
