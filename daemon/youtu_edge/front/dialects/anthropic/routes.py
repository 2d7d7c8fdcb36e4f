"""The handlers of /v1/messages: body -> GenerationRequest -> pieces -> message."""

from __future__ import annotations

import msgspec
from aiohttp import web

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import complete, stream_answers
from youtu_edge.front.dialects.anthropic.blocks import TextBlock
from youtu_edge.front.dialects.anthropic.request import (
    FIELDS,
    NAMES,
    CountBody,
    MessagesBody,
    count_query,
    generation_request,
)
from youtu_edge.front.dialects.anthropic.response import (
    AnswerMessage,
    MessageErrorDocument,
    MessageEvent,
    MessageUsage,
    TokenCount,
    message_error_document,
)
from youtu_edge.front.dialects.anthropic.writer import MessageWriter
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.http.bodies import decode_query
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.inflight.failure import renamed


class MessagesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """`beta`, which Anthropic's client adds for its beta interface, makes no difference."""

    beta: bool | None = None


class MessageHandlers(GeneratingHandlers):
    """The routes of Anthropic's Messages."""

    def routes(self) -> list[Route]:
        """Anthropic's Messages."""
        return [
            Route(
                "POST",
                "/v1/messages",
                self.create,
                body=MessagesBody,
                others=FIELDS,
                query=MessagesQuery,
                untagged=(TextBlock,),
                answer=AnswerMessage,
                events=MessageEvent,
                generates=True,
                error=MessageErrorDocument,
                error_form=message_error_document,
            ),
            Route(
                "POST",
                "/v1/messages/count_tokens",
                self.count_tokens,
                body=CountBody,
                others=FIELDS,
                query=MessagesQuery,
                answer=TokenCount,
                queries=True,
                error=MessageErrorDocument,
                error_form=message_error_document,
            ),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/messages: Anthropic's Messages, whole or streamed."""
        decode_query(request.query, MessagesQuery)
        raw, body = await self._read(request, MessagesBody, FIELDS)
        submit = generation_request(self._intake, body)
        model = self._intake.model.name
        user = body.metadata.user_id if body.metadata else None
        with self._generations.open(request, raw, submit, user=user, names=NAMES) as generation:
            accepted = await generation.accepted()
            message = AnswerMessage(id=generation.id, model=model, usage=MessageUsage(accepted.prompt_tokens, 0))
            writer = MessageWriter(message)
            if body.stream:
                return await stream_answers(request, [generation], writer)
            await complete(generation, writer)
            return json_response(message, generation.id)

    async def count_tokens(self, request: web.Request) -> web.Response:
        """POST /v1/messages/count_tokens: the number of tokens of a conversation."""
        decode_query(request.query, MessagesQuery)
        _, body = await self._read(request, CountBody, FIELDS)
        query = count_query(self._intake, body)
        try:
            reply = await self._intake.admission.query(query)
        except YoutuEdgeError as error:
            raise renamed(error, NAMES) from None
        return json_response(TokenCount(len(reply.tokens)))
