"""The handler of chat completions: body -> GenerationRequest -> pieces -> response.

The status is sent only after `Accepted`, so that a prompt that does not fit is a real 400 and not a broken stream.
"""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.answers.answer_stream import stream_answers
from youtu_edge.front.answers.generation_stream import collected, copies
from youtu_edge.front.dialects.chat.request import FIELDS, ChatBody, generation_request
from youtu_edge.front.dialects.chat.response import ChatCompletion, ChatCompletionChunk, completion
from youtu_edge.front.dialects.chat.writer import ChatWriter
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route


class ChatHandlers(GeneratingHandlers):
    """The route of chat completions."""

    def routes(self) -> list[Route]:
        """Chat in OpenAI's dialect."""
        return [
            Route(
                "POST",
                "/v1/chat/completions",
                self.chat_completions,
                body=ChatBody,
                others=FIELDS,
                answer=ChatCompletion,
                events=ChatCompletionChunk,
                last_event="[DONE]",
                generates=True,
            ),
        ]

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions: OpenAI's chat, whole or streamed."""
        raw, body = await self._read(request, ChatBody, FIELDS)
        submit = generation_request(self._intake, body)
        model, with_logprobs = self._intake.model.name, bool(body.logprobs)
        wanted = copies(submit, body.n or 1)
        names = [body.names for _ in wanted]
        with self._generations.open_all(request, raw, wanted, user=body.user, names=names) as generations:
            head = Head(generations[0].id, generations[0].created, model)
            if body.stream:
                writer = ChatWriter(head, len(generations), include_usage=body.include_usage, with_logprobs=with_logprobs)
                return await stream_answers(request, generations, writer)
            return json_response(completion(head, await collected(generations), with_logprobs=with_logprobs), head.id)
