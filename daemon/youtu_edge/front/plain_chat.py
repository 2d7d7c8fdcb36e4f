"""The handlers of the plain dialect, with and without a conversation on the device."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from youtu_edge.errors import UnsupportedParameterError
from youtu_edge.front import plain
from youtu_edge.front.answer_stream import json_response, stream_answers
from youtu_edge.front.bodies import decode_body
from youtu_edge.front.body_reader import BodyReader
from youtu_edge.front.caller import owner
from youtu_edge.front.conversation_store import Name
from youtu_edge.front.conversation_turn import Question, open_turn
from youtu_edge.front.conversations import Conversations
from youtu_edge.front.durable_intent import INTENT
from youtu_edge.front.error_body import ErrorDocument
from youtu_edge.front.generation_stream import GenerationStream, open_generation
from youtu_edge.front.intake import Intake
from youtu_edge.front.route import Route

_LEAST_SHARE_OF_CONTEXT = 4
"""A turn may ask for a quarter of the context as room for its answer; older turns go for that, and for no more."""


class PlainHandlers:
    """One instance serves all requests."""

    def __init__(self, intake: Intake, conversations: Conversations, bodies: BodyReader) -> None:
        self._intake = intake
        self._conversations = conversations
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """One prompt, one answer."""
        document, busy = dict[str, Any], {409: ErrorDocument}
        body = plain.PlainBody
        return [
            Route("POST", "/chat", self.chat, body=body, generates=True, errors=busy),
            Route(
                "POST",
                "/chat_stream",
                self.chat_stream,
                body=body,
                answer=None,
                events=document,
                generates=True,
                errors=busy,
            ),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /chat: one prompt, one answer."""
        async with self._generation(request, is_streamed=False) as generation:
            whole = await generation.collect()
            return json_response(plain.answer(generation, whole), generation.id)

    async def chat_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /chat_stream: the same as server-sent events."""
        async with self._generation(request, is_streamed=True) as generation:
            return await stream_answers(request, [generation], plain.PlainWriter(generation))

    @asynccontextmanager
    async def _generation(self, request: web.Request, *, is_streamed: bool) -> AsyncIterator[GenerationStream]:
        model = self._intake.model()
        body = decode_body(await self._bodies.read(request), plain.PlainBody, {})
        limit = self._intake.max_new_tokens("max_new_tokens", body.max_new_tokens)
        submit = self._intake.submit("chat", body, limit, body.stop)
        if body.thinking is not None:
            submit.template_kwargs = {"enable_thinking": body.thinking}
        if body.session_id is None:
            submit.messages = plain.chat_messages(body)
            with open_generation(self._intake.admission, submit) as generation:
                yield generation
            return
        if INTENT.get() is not None:
            raise UnsupportedParameterError(
                "session_id: not together with Idempotency-Key; a turn is in its session when its end was sent",
                param="session_id",
            )
        question = Question(
            name=Name(owner(), body.session_id),
            prompt=body.prompt,
            system=body.system,
            reserve_tokens=min(limit, max(1, model.context_length // _LEAST_SHARE_OF_CONTEXT)),
            is_streamed=is_streamed,
        )
        async with open_turn(self._conversations, self._intake.admission, submit, question) as turn:
            yield turn
