"""The handlers of the plain dialect, with and without a conversation on the device."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.answer_stream import stream_answers
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.conversations.conversation import Name, Place
from youtu_edge.front.conversations.conversations import Conversations
from youtu_edge.front.conversations.durable_turns import DurableTurns
from youtu_edge.front.conversations.turn import open_turn
from youtu_edge.front.conversations.turn_prompt import TurnRequest
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.dialects.plain.request import NAMES, PlainBody, generation_request
from youtu_edge.front.dialects.plain.response import PlainAnswer, PlainEvent, whole_answer
from youtu_edge.front.dialects.plain.writer import PlainWriter
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import durability
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.error_body import ErrorDocument
from youtu_edge.front.http.field_table import NO_FIELDS
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.keys.caller import owner

_CONTEXT_PARTS = 4
"""Up to a quarter of the context is reserved for the answer of a turn; older turns are dropped for no more than that."""


class PlainHandlers(GeneratingHandlers):
    """The routes of the plain dialect."""

    def __init__(
        self,
        intake: Intake,
        generations: Generations,
        bodies: BodyReader,
        conversations: Conversations,
        durable_turns: DurableTurns,
    ) -> None:
        super().__init__(intake, generations, bodies)
        self._conversations = conversations
        self._durable_turns = durable_turns

    def routes(self) -> list[Route]:
        """One prompt, one answer."""
        whole = Route(
            "POST",
            "/chat",
            self.chat,
            body=PlainBody,
            answer=PlainAnswer,
            generates=True,
            errors={409: ErrorDocument},
        )
        streamed = msgspec.structs.replace(
            whole, path="/chat_stream", handler=self.chat_stream, answer=None, events=PlainEvent
        )
        return [whole, streamed]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /chat: one prompt, one answer."""
        async with self._generation(request, is_streamed=False) as generation:
            answer = await generation.collect()
            return json_response(whole_answer(generation, answer), generation.id)

    async def chat_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /chat_stream: the same as server-sent events."""
        async with self._generation(request, is_streamed=True) as generation:
            return await stream_answers(request, [generation], PlainWriter(generation))

    @asynccontextmanager
    async def _generation(self, request: web.Request, *, is_streamed: bool) -> AsyncIterator[GenerationStream]:
        raw, body = await self._read(request, PlainBody, NO_FIELDS)
        submit = generation_request(self._intake, body)
        if body.session_id is None:
            with self._generations.open(request, raw, submit, names=NAMES) as generation:
                yield generation
            return
        share = max(1, self._intake.model.context_length // _CONTEXT_PARTS)
        turn = TurnRequest(
            name=Name(owner(), body.session_id),
            prompt=body.prompt or "",
            system=body.system,
            reserve_tokens=min(submit.max_new_tokens, share),
            is_streamed=is_streamed,
            place=Place(body.parent_turn, body.continue_turn),
        )
        if (wanted := durability(request)) is not None:
            yield await self._durable_turns.open(wanted, raw, submit, turn, NAMES)
            return
        async with open_turn(self._conversations, self._intake.admission, submit, turn, NAMES) as generation:
            yield generation
