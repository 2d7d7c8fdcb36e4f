"""The routes of conversations on the device, "sessions" in HTTP, and of cancelling an answer in progress."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.store import Conversation, Name, Summary
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.error_body import ErrorDocument
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import InvalidRequestError, NotFoundError


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Query of GET /v1/sessions."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: str | None = None
    """Id of a session: only those used before it. Pass the last id of a page to get the next page."""


class SessionPage(msgspec.Struct):
    """Sessions, last used first."""

    sessions: list[Summary]


class SessionMessage(msgspec.Struct, omit_defaults=True):
    """One message of a session."""

    role: str
    content: str
    created: int
    """Unix time in seconds."""
    thinking: str = ""


class SessionDocument(Summary, kw_only=True):
    """A whole session. The model no longer sees the first `dropped_turns` turns."""

    system: str
    dropped_turns: int
    running_request: str | None
    """Id of the request that it is answering."""
    messages: list[SessionMessage]


class SessionChange(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PATCH /v1/sessions/{session_id}; fields left out keep their value."""

    title: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    system: Annotated[str, Meta(max_length=100_000)] | UnsetType = UNSET


class InterruptBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /v1/sessions/{session_id}/interrupt."""

    spoken_chars: Annotated[int, Meta(ge=0)]
    """Characters (Unicode code points) of the answer that were actually spoken; a larger number keeps all."""


class Interrupted(msgspec.Struct):
    """What is left of the last answer. `request_id` is the request that was stopped, null when none was in progress."""

    id: str
    request_id: str | None
    content: str


class Deleted(msgspec.Struct):
    """The session is gone."""

    id: str
    deleted: bool = True


class Cancelled(msgspec.Struct):
    """The request ends with finish_reason "cancelled"."""

    id: str
    cancelled: bool = True


class SessionHandlers:
    """The routes of sessions, and of answers in progress."""

    def __init__(self, conversations: Conversations, admission: Admission, bodies: BodyReader) -> None:
        self._conversations = conversations
        self._admission = admission
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Sessions, and the two ways to stop an answer."""
        one, failed, busy = "/v1/sessions/{session_id}", {503: ErrorDocument}, {409: ErrorDocument, 503: ErrorDocument}
        return [
            Route(
                "GET", "/v1/sessions", self.page, query=PageQuery, answer=SessionPage, errors=failed | {404: ErrorDocument}
            ),
            Route("GET", one, self.show, answer=SessionDocument, errors=failed),
            Route("PATCH", one, self.change, body=SessionChange, answer=SessionDocument, errors=failed),
            Route("DELETE", one, self.delete, answer=Deleted, errors=busy),
            Route("POST", f"{one}/clear", self.clear, answer=SessionDocument, errors=busy),
            Route("GET", f"{one}/export", self.export, answer=SessionDocument, errors=failed),
            Route("POST", f"{one}/interrupt", self.interrupt, body=InterruptBody, answer=Interrupted, errors=failed),
            Route("POST", "/v1/requests/{request_id}/cancel", self.cancel, answer=Cancelled),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/sessions: the sessions on the device, last used first."""
        query = decode_query(request.query, PageQuery)
        return json_response(SessionPage(await self._conversations.page(owner(), query.limit, query.before)))

    async def show(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/{session_id}: one session with its messages."""
        return self._document(await self._conversations.find(_name(request)))

    async def change(self, request: web.Request) -> web.Response:
        """PATCH /v1/sessions/{session_id}: change title or system prompt."""
        body = decode_body(await self._bodies.read(request), SessionChange)
        if body.title is UNSET and body.system is UNSET:
            raise InvalidRequestError("title or system: one of them is required", param="title")
        title = None if body.title is UNSET else body.title
        system = None if body.system is UNSET else body.system
        return self._document(await self._conversations.change(_name(request), title=title, system=system))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/sessions/{session_id}: delete a session."""
        name = _name(request)
        await self._conversations.delete(name)
        return json_response(Deleted(name.id))

    async def clear(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/{session_id}/clear: delete its messages; title and system prompt stay."""
        return self._document(await self._conversations.clear(_name(request)))

    async def export(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/{session_id}/export: the session as a file."""
        name = _name(request)
        response = self._document(await self._conversations.find(name), indent=2)
        # Ids of existing sessions consist of characters that need no quoting.
        response.headers["Content-Disposition"] = f'attachment; filename="session-{name.id}.json"'
        return response

    async def interrupt(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/{session_id}/interrupt: stop the answer, and keep the part of it that was spoken.

        An answer that has ended is truncated, too: speech goes on for a while after the last token.
        """
        name = _name(request)
        body = decode_body(await self._bodies.read(request), InterruptBody)
        running = self._conversations.running(name)
        if running is not None:
            self._cancel(running.request_id)
            if not await asyncio.shield(running.ended):  # it failed or was empty: there is nothing to truncate
                return json_response(Interrupted(name.id, running.request_id, ""))
        content = await self._conversations.truncate_answer(name, body.spoken_chars)
        return json_response(Interrupted(name.id, running.request_id if running else None, content))

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/requests/{request_id}/cancel: stop an answer; its client gets finish_reason "cancelled"."""
        request_id = request.match_info["request_id"]
        if not self._cancel(request_id):
            raise NotFoundError(f"no request {request_id[:100]!r} is in progress", param="request_id", name=request_id)
        return json_response(Cancelled(request_id))

    def _cancel(self, request_id: str) -> bool:
        return self._admission.cancel(request_id) or self._conversations.cancel(owner(), request_id)

    def _document(self, conversation: Conversation, indent: int = 0) -> web.Response:
        summary, name = conversation.summary, Name(owner(), conversation.summary.id)
        running = self._conversations.running(name)
        messages: list[SessionMessage] = []
        for turn in conversation.turns:
            messages.append(SessionMessage("user", turn.user, turn.asked))
            messages.append(SessionMessage("assistant", turn.assistant, turn.answered, turn.thinking))
        document = SessionDocument(
            **msgspec.structs.asdict(summary),
            system=conversation.system,
            dropped_turns=conversation.dropped_turns,
            running_request=running.request_id if running else None,
            messages=messages,
        )
        return json_response(document, indent=indent)


def _name(request: web.Request) -> Name:
    return Name(owner(), request.match_info["session_id"])
