"""The handlers of /v1/messages: body -> GenerationRequest -> pieces -> message."""

from __future__ import annotations

import secrets

import msgspec
from aiohttp import web

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Silence
from youtu_edge.front.dialects.anthropic.builder import MessageBuilder
from youtu_edge.front.dialects.anthropic.documents import (
    AnswerMessage,
    MessageErrorDocument,
    MessageEvent,
    MessageUsage,
    TokenCount,
)
from youtu_edge.front.dialects.anthropic.errors import message_error_document
from youtu_edge.front.dialects.anthropic.request import (
    NAMES,
    NOT_OFFERED,
    CountBody,
    MessagesBody,
    TextBlock,
    chat_messages,
    check,
)
from youtu_edge.front.dialects.common.tools import offer_tools
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.sse import REQUEST_ID, open_stream
from youtu_edge.front.inflight.failure import renamed
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.to_engine import Render


class MessagesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """`beta` is what Anthropic's client adds for its beta interface; there is no difference here."""

    beta: bool | None = None


class MessageHandlers:
    """The routes of Anthropic's Messages."""

    def __init__(self, intake: Intake, generations: Generations, bodies: BodyReader) -> None:
        self._intake = intake
        self._generations = generations
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Anthropic's Messages."""
        return [
            Route(
                "POST",
                "/v1/messages",
                self.create,
                body=MessagesBody,
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
        model = self._intake.model()
        raw = await self._bodies.read(request)
        body = decode_body(raw, MessagesBody, NOT_OFFERED)
        submit = self._submit(body)
        user = body.metadata.user_id if body.metadata else None
        with self._generations.open(request, raw, submit, user=user, names=NAMES) as generation:
            accepted = await generation.accepted()
            message = AnswerMessage(id=generation.id, model=model.name, usage=MessageUsage(accepted.prompt_tokens, 0))
            builder = MessageBuilder(message)
            if body.stream:
                return await _stream(request, generation, builder)
            async for piece in generation.pieces():
                for _ in builder.add(piece):
                    pass
            return _json(message, generation.id)

    async def count_tokens(self, request: web.Request) -> web.Response:
        """POST /v1/messages/count_tokens: how many tokens a conversation would be."""
        decode_query(request.query, MessagesQuery)
        self._intake.model()
        body = decode_body(await self._bodies.read(request), CountBody, NOT_OFFERED)
        check(body)
        self._intake.check_name(body.model)
        tools = [] if body.choice == "none" else [msgspec.to_builtins(tool.as_tool()) for tool in body.tools or ()]
        try:
            reply = await self._intake.admission.query(Render(chat_messages(body), body.template_kwargs, tools))
        except YoutuEdgeError as error:
            raise renamed(error, NAMES) from None
        return _json(TokenCount(len(reply.tokens)))

    def _submit(self, body: MessagesBody) -> GenerationRequest:
        check(body)
        self._intake.check_name(body.model)
        limit = self._intake.max_new_tokens("max_tokens", body.max_tokens)
        submit = self._intake.submit("msg", body, limit, body.stop_sequences)
        submit.id = f"msg_{secrets.token_hex(16)}"
        submit.messages = chat_messages(body)
        submit.template_kwargs = body.template_kwargs
        submit.grammar = body.grammar
        offer_tools(submit, [tool.as_tool() for tool in body.tools or ()], body.choice, body.parallel_tool_calls)
        return submit


async def _stream(request: web.Request, generation: GenerationStream, builder: MessageBuilder) -> web.StreamResponse:
    stream = await open_stream(request, generation.id, generation.numbers)
    try:
        await stream.send([builder.begin()])
        async for piece in generation.pieces():
            if isinstance(piece, Silence):
                await stream.keep_alive()
            else:
                await stream.send(list(builder.add(piece)))
    except YoutuEdgeError as error:  # the status is long sent; the error is the last event
        await stream.send_error(message_error_document(error))
    except ConnectionError:  # the client left
        return stream.response
    await stream.response.write_eof()
    return stream.response


def _json(document: msgspec.Struct, request_id: str = "") -> web.Response:
    response = web.Response(body=msgspec.json.encode(document), content_type="application/json")
    if request_id:
        response.headers[REQUEST_ID] = request_id
    return response
