"""One route of the daemon as data: its handler, and the types of its body, query and responses.

Every handler class lists its routes; `http.app` makes both aiohttp's router and `/openapi.json` from them, so that no
route can exist that the document does not describe.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from youtu_edge.front.http.error_body import ErrorForm, error_document
from youtu_edge.front.http.field_table import NO_FIELDS, FieldTable
from youtu_edge.front.http.handler import Handler
from youtu_edge.front.http.scope import Scope
from youtu_edge.request_errors import UnsupportedParameterError


class Route(msgspec.Struct, frozen=True):
    """A handler and its contract. The first line of the handler's docstring is the route's summary.

    Types are msgspec types; a `dict[str, Any]` describes a document whose fields are not fixed.
    """

    method: str
    path: str
    """In aiohttp's form, which is OpenAPI's as well: `/v1/sessions/{session_id}`."""
    handler: Handler
    body: Any = None
    """Type of the JSON body; None: a body is not read."""
    others: FieldTable = NO_FIELDS
    """Fields of the body that are not computed here."""
    query: type[msgspec.Struct] | None = None
    """The query parameters as a struct, decoded with `bodies.decode_query`; None: all are rejected."""
    answer: Any = dict[str, Any]
    """Type of the JSON document of a success; `str`: plain text; None: nothing (status 204)."""
    events: Any = None
    """Type of the data of one server-sent event, for routes that stream always (answer None) or on demand."""
    lines: Any = None
    """Type of one line of a stream of JSON lines (http.ndjson), for routes that stream so on demand."""
    last_event: str = ""
    """Data of the event that ends a complete stream and is not JSON."""
    generates: bool = False
    """Needs a ready engine and a place in the queue: may be answered 404 (model), 429 and 503."""
    takes_key: bool = True
    """False: it generates, but takes no Idempotency-Key."""
    is_offered: bool = True
    """False: every request is rejected, with an error that says what to do instead."""
    queries: bool = False
    """Needs a ready engine's tokenizer, and generates nothing: the same statuses."""
    needs_storage: bool = False
    """Needs the device's storage: may be answered 503."""
    untagged: tuple[type[msgspec.Struct], ...] = ()
    """Tagged structs within the body whose tag may be left out."""
    scope: Scope | None = "chat"
    """What the caller's key has to allow; None: no key is needed."""
    error: Any = None
    """Type of the document of an error; None: that of OpenAI's dialects."""
    error_form: ErrorForm = error_document
    """Makes that document."""
    errors: dict[int, Any] = {}
    """Type of the document by status, for errors beyond those that follow from the fields above."""
    content_type: str = ""
    """Of the answer, where it is neither JSON nor plain text."""
    takes_slashes: bool = False
    """The last parameter in the path takes the rest of it, slashes included."""
    is_listed: bool = True
    """False: files of the web UI, which are not an API; any query is ignored."""

    @property
    def summary(self) -> str:
        """What the route does, in a line."""
        first = (self.handler.__doc__ or "").strip().partition("\n")[0]
        return re.sub(r"^[A-Z]+ /\S*?[.:]?(\s|$)", "", first).strip() or first

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters in the path."""
        return re.findall(r"{(\w+)}", self.path)

    def install(self, app: web.Application, expect: Any) -> None:
        """Add it to aiohttp's router; `expect` answers "Expect: 100-continue"."""
        handler = self.handler if self.query is not None or not self.is_listed else _without_query(self.handler)
        expect = partial(expect, form=self.error_form)  # aiohttp's default runs outside of all middlewares
        path = re.sub(r"}$", ":.+}", self.path) if self.takes_slashes else self.path
        if self.method == "GET":
            app.router.add_get(path, handler, expect_handler=expect)
        else:
            app.router.add_route(self.method, path, handler, expect_handler=expect)


def _without_query(handler: Handler) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        for name in request.query:
            raise UnsupportedParameterError(f"{name[:100]}: this route takes no query parameter", param=name[:100])
        return await handler(request)

    return checked
