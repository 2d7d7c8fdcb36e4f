"""The handler of plain completions: no chat template, no thoughts and no tools."""

from __future__ import annotations

from aiohttp import web

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.answer_stream import json_response, stream_answers
from youtu_edge.front.answers.generation_stream import collected, copies
from youtu_edge.front.dialects.openai.builder import Head
from youtu_edge.front.dialects.openai.completion_request import (
    NOT_OFFERED,
    CompletionBody,
    CompletionWriter,
    check,
    completion,
    prompts,
    submits,
)
from youtu_edge.front.dialects.openai.documents import TextCompletion
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.http.bodies import decode_body
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.route import Route


class CompletionHandlers:
    """The route of completions."""

    def __init__(self, intake: Intake, generations: Generations, bodies: BodyReader) -> None:
        self._intake = intake
        self._generations = generations
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Completions in OpenAI's dialect."""
        return [
            Route(
                "POST",
                "/v1/completions",
                self.completions,
                body=CompletionBody,
                answer=TextCompletion,
                events=TextCompletion,
                last_event="[DONE]",
                generates=True,
            ),
        ]

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions: continue one or several texts, or what token ids stand for."""
        model = self._intake.model()
        raw = await self._bodies.read(request)
        body = decode_body(raw, CompletionBody, NOT_OFFERED)
        check(body)
        self._intake.check_name(body.model)
        submit = self._intake.submit("cmpl", body, self._intake.max_new_tokens("max_tokens", body.max_tokens), body.stop)
        count, with_logprobs = body.n or 1, body.logprobs is not None
        asked = prompts(body, model.context_length)
        wanted = [copy for one in submits(submit, body, asked) for copy in copies(one, count)]
        names = [{"prompt": name} for name in asked for _ in range(count)]
        with self._generations.open_all(request, raw, wanted, user=body.user, names=names) as generations:
            head = Head(generations[0].id, generations[0].created, model.name)
            if body.stream:
                writer = CompletionWriter(
                    head, len(wanted), count, include_usage=body.include_usage, with_logprobs=with_logprobs
                )
                return await stream_answers(request, generations, writer)
            answers = await collected(generations)
            return json_response(completion(head, answers, count, with_logprobs=with_logprobs), head.id)
