"""The handler of completions: body -> one GenerationRequest for each answer -> pieces -> response."""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.answers.answer_stream import stream_answers
from youtu_edge.front.answers.generation_stream import collected, copies
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.dialects.completions.request import FIELDS, CompletionBody, generation_requests
from youtu_edge.front.dialects.completions.response import TextCompletion, completion
from youtu_edge.front.dialects.completions.writer import CompletionWriter
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route


class CompletionHandlers(GeneratingHandlers):
    """The route of completions."""

    def routes(self) -> list[Route]:
        """Completions in OpenAI's dialect."""
        return [
            Route(
                "POST",
                "/v1/completions",
                self.completions,
                body=CompletionBody,
                others=FIELDS,
                answer=TextCompletion,
                events=TextCompletion,
                last_event="[DONE]",
                generates=True,
            ),
        ]

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions: continue one or several texts, or what token ids stand for."""
        raw, body = await self._read(request, CompletionBody, FIELDS)
        submits = generation_requests(self._intake, body)
        model, count, with_logprobs = self._intake.model.name, body.n or 1, body.logprobs is not None
        wanted = [copy for submit in submits.values() for copy in copies(submit, count)]
        names = [{"prompt": name} for name in submits for _ in range(count)]
        with self._generations.open_all(request, raw, wanted, user=body.user, names=names) as generations:
            head = Head(generations[0].id, generations[0].created, model)
            if body.stream:
                writer = CompletionWriter(
                    head, len(wanted), count, include_usage=body.include_usage, with_logprobs=with_logprobs
                )
                return await stream_answers(request, generations, writer)
            answers = await collected(generations)
            return json_response(completion(head, answers, count, with_logprobs=with_logprobs), head.id)
