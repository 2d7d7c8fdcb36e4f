"""The handlers of /v1/responses: body -> conversation -> GenerationRequest -> pieces -> response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.answers.answer_stream import complete, stream_answers, stream_at_once
from youtu_edge.front.dialects.common.handlers import GeneratingHandlers
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.background import BackgroundResponses
from youtu_edge.front.dialects.responses.items import Item, MessageItem, ReasoningText, chat_messages, input_items, tidy
from youtu_edge.front.dialects.responses.request import FIELDS, NAMES, ResponsesBody, generation_request
from youtu_edge.front.dialects.responses.response import DeletedResponse, Response, ResponseEvent, new_response
from youtu_edge.front.dialects.responses.run import ResponseRun
from youtu_edge.front.dialects.responses.tools import FunctionTool
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import durability
from youtu_edge.front.http.bodies import decode_query
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.durability import LAST_EVENT_HEADER, last_event_number
from youtu_edge.front.http.json_response import json_response
from youtu_edge.front.http.route import Route
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import InvalidRequestError, NotFoundError


class ResponseQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Query of GET /v1/responses/{response_id}."""

    stream: bool = False
    """Replay the events of a background response."""
    starting_after: Annotated[int, Meta(ge=0)] | None = None
    """Only those after this sequence_number; the header Last-Event-ID takes precedence."""


class ResponseHandlers(GeneratingHandlers):
    """The routes of OpenAI's Responses."""

    def __init__(
        self,
        intake: Intake,
        generations: Generations,
        bodies: BodyReader,
        archive: ResponseArchive,
        background: BackgroundResponses,
        running: dict[str, ResponseRun],
    ) -> None:
        """`running` is the table of responses in the making; `background` has its own there too."""
        super().__init__(intake, generations, bodies)
        self._archive = archive
        self._background = background
        self._running = running

    def routes(self) -> list[Route]:
        """OpenAI's Responses, new and stored."""
        path = "/v1/responses/{response_id}"
        return [
            Route(
                "POST",
                "/v1/responses",
                self.create,
                body=ResponsesBody,
                others=FIELDS,
                untagged=(MessageItem, ReasoningText, FunctionTool),
                answer=Response,
                events=ResponseEvent,
                generates=True,
            ),
            Route("GET", path, self.get, query=ResponseQuery, answer=Response, events=ResponseEvent, needs_storage=True),
            Route("DELETE", path, self.delete, answer=DeletedResponse, needs_storage=True),
            Route("POST", f"{path}/cancel", self.cancel, answer=Response, needs_storage=True),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/responses: OpenAI's Responses, whole or streamed."""
        raw, body = await self._read(request, ResponsesBody, FIELDS, tidy)
        submit = generation_request(self._intake, body)
        earlier, items = await self._earlier(body), input_items(body.input)
        submit.messages = chat_messages(body.instructions, earlier, items)
        if body.background:
            run = await self._background.begin(durability(request), submit, body, raw, [*earlier, *items])
            if body.stream:
                return await self._replay(request, run.generation.id, ResponseQuery())
            return _document(run.response)
        with self._run(request, raw, submit, body, [*earlier, *items]) as run:
            if body.stream:
                return await stream_answers(request, [run.generation], run.writer)
            await complete(run.generation, run.writer)
            return _document(run.response)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/responses/{response_id}: a stored response, or one in the making."""
        response_id = request.match_info["response_id"]
        query = decode_query(request.query, ResponseQuery)
        if query.stream:
            return await self._replay(request, response_id, query)
        if query.starting_after is not None:
            raise InvalidRequestError("starting_after: only with stream=true", param="starting_after")
        if run := self._running_of_caller(response_id):
            return _document(run.response)
        try:
            found = await self._archive.find(response_id, "response_id")
        except NotFoundError:
            return _document(await self._background.rebuild(response_id))
        return json_response(msgspec.Raw(found.document))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/responses/{response_id}: delete a stored response; those that continue it stay."""
        response_id = request.match_info["response_id"]
        await self._archive.delete(response_id)
        return json_response(DeletedResponse(response_id), response_id)

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/responses/{response_id}/cancel: stop a response in the making; its client gets what there is."""
        response_id = request.match_info["response_id"]
        run = self._running_of_caller(response_id)
        if run is not None and self._intake.admission.cancel(response_id):
            return _document(msgspec.structs.replace(run.response, status="cancelled"))
        await self._archive.find(response_id, "response_id")
        raise InvalidRequestError("response_id: this response has ended already", param="response_id")

    def _running_of_caller(self, response_id: str) -> ResponseRun | None:
        run = self._running.get(response_id)
        return run if run is not None and run.owner == owner() else None

    async def _earlier(self, body: ResponsesBody) -> list[Item]:
        if body.previous_response_id is None:
            return []
        return (await self._archive.find(body.previous_response_id, "previous_response_id")).conversation

    @contextmanager
    def _run(
        self, request: web.Request, raw: bytes, submit: GenerationRequest, body: ResponsesBody, conversation: list[Item]
    ) -> Iterator[ResponseRun]:
        model = self._intake.model.name
        with self._generations.open(request, raw, submit, user=body.user, names=NAMES) as generation:
            response = new_response(generation.id, generation.created, model, body, submit)
            run = self._running[response.id] = ResponseRun(self._archive, generation, response, conversation)
            try:
                yield run
            finally:
                if self._running.get(response.id) is run:  # a durable request may have several readers
                    del self._running[response.id]

    async def _replay(self, request: web.Request, response_id: str, query: ResponseQuery) -> web.StreamResponse:
        header = request.headers.get(LAST_EVENT_HEADER)
        seen = query.starting_after if header is None else last_event_number(header)
        run = await self._background.replay(response_id, -1 if seen is None else seen)
        return await stream_at_once(request, [run.generation], run.writer)


def _document(response: Response) -> web.Response:
    return json_response(response, response.id)
