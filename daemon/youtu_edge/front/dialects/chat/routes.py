"""The handlers of the chat routes: body -> GenerationRequest -> pieces -> answer.

The status is sent only after `Accepted`, so that a prompt that does not fit is a real 400 and not a broken stream.
"""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.answer_stream import json_response, stream_answers
from youtu_edge.front.answers.generation_stream import collected, copies
from youtu_edge.front.dialects.openai import chat_request
from youtu_edge.front.dialects.openai.builder import ChunkWriter, Head, completion
from youtu_edge.front.dialects.openai.documents import ChatCompletion, ChatCompletionChunk
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.http.bodies import decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.route import Route


class ChatHandlers:
    """The route of chat completions."""

    def __init__(self, intake: Intake, generations: Generations, bodies: BodyReader) -> None:
        self._intake = intake
        self._generations = generations
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Chat in OpenAI's dialect."""
        return [
            Route(
                "POST",
                "/v1/chat/completions",
                self.chat_completions,
                body=chat_request.ChatBody,
                answer=ChatCompletion,
                events=ChatCompletionChunk,
                last_event="[DONE]",
                generates=True,
            ),
        ]

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions: OpenAI's chat, whole or streamed."""
        model = self._intake.model()
        raw = await self._bodies.read(request)
        body = decode_body(raw, chat_request.ChatBody, chat_request.NOT_OFFERED)
        chat_request.check(body)
        self._intake.check_name(body.model)
        submit = self._intake.submit("chatcmpl", body, self._intake.max_new_tokens(*body.limit), body.stop)
        chat_request.fill(submit, body)
        with_logprobs = bool(body.logprobs)
        submits = copies(submit, body.n or 1)
        with self._generations.open_all(request, raw, submits, user=body.user) as generations:
            head = Head(generations[0].id, generations[0].created, model.name)
            if body.stream:
                writer = ChunkWriter(head, len(generations), include_usage=body.include_usage, with_logprobs=with_logprobs)
                return await stream_answers(request, generations, writer)
            return json_response(completion(head, await collected(generations), with_logprobs=with_logprobs), head.id)
