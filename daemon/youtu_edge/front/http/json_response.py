"""A JSON document as the body of a successful response."""

from __future__ import annotations

import msgspec
from aiohttp import web

from youtu_edge.encoding import json_bytes
from youtu_edge.front.http.sse import REQUEST_ID


def json_response(document: object, request_id: str = "", *, indent: int = 0) -> web.Response:
    """Status 200 with the document, anything that msgspec can encode. `request_id` goes into the header X-Request-Id."""
    body = json_bytes(document)
    return web.Response(
        body=msgspec.json.format(body, indent=indent) if indent else body,
        content_type="application/json",
        headers={REQUEST_ID: request_id} if request_id else None,
    )
