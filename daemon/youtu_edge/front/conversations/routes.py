"""The routes of conversations on the device, "sessions" in HTTP, and of cancelling an answer in progress."""

from __future__ import annotations

import asyncio
import re

import msgspec
from aiohttp import web
from msgspec import UNSET

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.conversations.conversation import ID_PATTERN, Conversation, Name
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.session_documents import (
    Cancelled,
    Deleted,
    ImportedSession,
    InterruptBody,
    Interrupted,
    PageQuery,
    SessionChange,
    SessionDocument,
    SessionPage,
    messages_of,
    turns_of,
)
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.error_body import ErrorDocument
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import InvalidRequestError, NotFoundError


class SessionHandlers:
    """The routes of sessions, and of answers in progress."""

    def __init__(self, conversations: Conversations, admission: Admission, bodies: BodyReader) -> None:
        self._conversations = conversations
        self._admission = admission
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Sessions, their turns, and the two ways to stop an answer."""
        one, failed, busy = "/v1/sessions/{session_id}", {503: ErrorDocument}, {409: ErrorDocument, 503: ErrorDocument}
        return [
            Route(
                "GET", "/v1/sessions", self.page, query=PageQuery, answer=SessionPage, errors=failed | {404: ErrorDocument}
            ),
            Route("GET", one, self.show, answer=SessionDocument, errors=failed),
            Route("PUT", one, self.add, body=ImportedSession, answer=SessionDocument, errors=busy),
            Route("PATCH", one, self.change, body=SessionChange, answer=SessionDocument, errors=busy),
            Route("DELETE", one, self.delete, answer=Deleted, errors=busy),
            Route("DELETE", f"{one}/turns/{{turn}}", self.delete_turn, answer=SessionDocument, errors=busy),
            Route("POST", f"{one}/clear", self.clear, answer=SessionDocument, errors=busy),
            Route("GET", f"{one}/export", self.export, answer=SessionDocument, errors=failed),
            Route("POST", f"{one}/interrupt", self.interrupt, body=InterruptBody, answer=Interrupted, errors=failed),
            Route("POST", "/v1/requests/{request_id}/cancel", self.cancel, answer=Cancelled),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/sessions: the sessions on the device, last used first."""
        query = decode_query(request.query, PageQuery)
        return json_response(SessionPage(await self._conversations.page(owner(), query.limit, query.before, query.search)))

    async def show(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/{session_id}: one session with its messages."""
        return self._document(await self._conversations.find(_name(request)))

    async def change(self, request: web.Request) -> web.Response:
        """PATCH /v1/sessions/{session_id}: change title or system prompt, or show another branch."""
        body = decode_body(await self._bodies.read(request), SessionChange)
        if body == SessionChange():
            raise InvalidRequestError("title, system or turn: one of them is required", param="title")
        title = None if body.title is UNSET else body.title
        system = None if body.system is UNSET else body.system
        turn = None if body.turn is UNSET else body.turn
        name = _name(request)
        return self._document(await self._conversations.change(name, title=title, system=system, turn=turn))

    async def add(self, request: web.Request) -> web.Response:
        """PUT /v1/sessions/{session_id}: import a session that was exported, here or on another device."""
        body = decode_body(await self._bodies.read(request), ImportedSession)
        name = _name(request)
        if not re.fullmatch(ID_PATTERN, name.id):
            raise InvalidRequestError(
                "session_id: must be 1 to 64 of A-Z a-z 0-9 _ -, then perhaps @ and the name of a board", param="session_id"
            )
        return self._document(await self._conversations.add(name, body.title, body.system, turns_of(body.messages)))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/sessions/{session_id}: delete a session."""
        name = _name(request)
        await self._conversations.delete(name)
        return json_response(Deleted(name.id))

    async def clear(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/{session_id}/clear: delete its messages; title and system prompt stay."""
        return self._document(await self._conversations.clear(_name(request)))

    async def delete_turn(self, request: web.Request) -> web.Response:
        """DELETE /v1/sessions/{session_id}/turns/{turn}: delete one question with its answer; what follows stays."""
        text = request.match_info["turn"]
        if not text.isascii() or not text.isdecimal() or len(text) > 18:
            raise InvalidRequestError("turn: must be the number of a turn", param="turn")
        return self._document(await self._conversations.delete_turn(_name(request), int(text)))

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
        document = SessionDocument(
            **msgspec.structs.asdict(summary),
            system=conversation.system,
            dropped_turns=conversation.dropped_turns,
            running_request=running.request_id if running else None,
            messages=messages_of(conversation.turns),
        )
        return json_response(document, indent=indent)


def _name(request: web.Request) -> Name:
    return Name(owner(), request.match_info["session_id"])
