"""The handlers of the plain dialect, with and without a conversation on the device."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.answer_stream import json_response, stream_answers
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.store import Name
from youtu_edge.front.conversations.turn import TurnRequest, open_turn
from youtu_edge.front.dialects.plain import documents
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import durability
from youtu_edge.front.http.bodies import decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.error_body import ErrorDocument
from youtu_edge.front.http.route import Route
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import UnsupportedParameterError

_THINKING = "enable_thinking"
"""What chat templates call it."""
_NAMES = {"messages": "prompt", f"chat_template_kwargs.{_THINKING}": "thinking"}
"""What this dialect calls the fields that the engine may refuse."""
_LEAST_SHARE_OF_CONTEXT = 4
"""A turn may ask for a quarter of the context as room for its answer; older turns go for that, and for no more."""


class PlainHandlers:
    """The routes of the plain dialect."""

    def __init__(self, intake: Intake, generations: Generations, conversations: Conversations, bodies: BodyReader) -> None:
        self._intake = intake
        self._generations = generations
        self._conversations = conversations
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """One prompt, one answer."""
        whole = Route(
            "POST",
            "/chat",
            self.chat,
            body=documents.PlainBody,
            answer=documents.PlainAnswer,
            generates=True,
            errors={409: ErrorDocument},
        )
        streamed = msgspec.structs.replace(
            whole, path="/chat_stream", handler=self.chat_stream, answer=None, events=documents.PlainEvent
        )
        return [whole, streamed]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /chat: one prompt, one answer."""
        async with self._generation(request, is_streamed=False) as generation:
            whole = await generation.collect()
            return json_response(documents.answer(generation, whole), generation.id)

    async def chat_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /chat_stream: the same as server-sent events."""
        async with self._generation(request, is_streamed=True) as generation:
            return await stream_answers(request, [generation], documents.PlainWriter(generation))

    @asynccontextmanager
    async def _generation(self, request: web.Request, *, is_streamed: bool) -> AsyncIterator[GenerationStream]:
        model = self._intake.model()
        raw = await self._bodies.read(request)
        body = decode_body(raw, documents.PlainBody, {})
        limit = self._intake.max_new_tokens("max_new_tokens", body.max_new_tokens)
        submit = self._intake.submit("chat", body, limit, body.stop)
        if body.thinking is not None:
            submit.template_kwargs = {_THINKING: body.thinking}
        if body.session_id is None:
            submit.messages = documents.chat_messages(body)
            with self._generations.open(request, raw, submit, names=_NAMES) as generation:
                yield generation
            return
        if durability(request) is not None:
            raise UnsupportedParameterError(
                "session_id: cannot be combined with Idempotency-Key; a turn is stored when its end is sent",
                param="session_id",
            )
        said = TurnRequest(
            name=Name(owner(), body.session_id),
            prompt=body.prompt,
            system=body.system,
            reserve_tokens=min(limit, max(1, model.context_length // _LEAST_SHARE_OF_CONTEXT)),
            is_streamed=is_streamed,
        )
        async with open_turn(self._conversations, self._intake.admission, submit, said, _NAMES) as turn:
            yield turn
