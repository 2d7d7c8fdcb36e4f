"""The handlers of /v1/responses: body -> conversation -> request -> pieces -> response, stored before its end is told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.background import BackgroundResponses
from youtu_edge.front.dialects.responses.documents import DeletedResponse, Response, ResponseEvent, new_response
from youtu_edge.front.dialects.responses.items import Item, MessageItem, ReasoningText, chat_messages, input_items, tidy
from youtu_edge.front.dialects.responses.request import NAMES, NOT_OFFERED, ResponsesBody, check, fill
from youtu_edge.front.dialects.responses.run import ResponseRun
from youtu_edge.front.durable.generations import Generations
from youtu_edge.front.durable.headers import durability
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.http.body_reader import BodyReader
from youtu_edge.front.http.durability import LAST_EVENT_HEADER, last_event_number
from youtu_edge.front.http.route import Route
from youtu_edge.front.http.sse import REQUEST_ID, EventNumbers
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import InvalidRequestError, NotFoundError


class ResponseQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Query of GET /v1/responses/{response_id}."""

    stream: bool = False
    """Tell the events of a response that was made in the background."""
    starting_after: Annotated[int, Meta(ge=0)] | None = None
    """Only those after this sequence_number. The header Last-Event-ID says the same."""


class ResponseHandlers:
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
        """`running` is the table of responses that are being made, which `background` fills too."""
        self._intake = intake
        self._generations = generations
        self._bodies = bodies
        self._archive = archive
        self._background = background
        self._running = running

    def routes(self) -> list[Route]:
        """OpenAI's Responses, with what was stored of them."""
        path = "/v1/responses/{response_id}"
        return [
            Route(
                "POST",
                "/v1/responses",
                self.create,
                body=ResponsesBody,
                untagged=(MessageItem, ReasoningText),
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
        self._intake.model()
        raw = await self._bodies.read(request)
        body = decode_body(raw, ResponsesBody, NOT_OFFERED, tidy)
        check(body)
        self._intake.check_name(body.model)
        limit = self._intake.max_new_tokens("max_output_tokens", body.max_output_tokens)
        submit = self._intake.submit("resp", body, limit)
        submit.id = f"resp_{secrets.token_hex(16)}"
        fill(submit, body)
        earlier = await self._earlier(body)
        asked = input_items(body.input)
        submit.messages = chat_messages(body.instructions, earlier, asked)
        if body.background:
            run = await self._background.begin(durability(request), submit, body, raw, [*earlier, *asked])
            if body.stream:
                return await self._retell(request, run.generation.id, ResponseQuery())
            return _json(run.builder.response)
        with self._run(request, raw, submit, body, [*earlier, *asked]) as run:
            await run.generation.accepted()
            if body.stream:
                return await run.stream(request)
            async for _ in run.events():
                pass
            return _json(run.builder.response)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/responses/{response_id}: a response that was stored, or is being made."""
        response_id = request.match_info["response_id"]
        query = decode_query(request.query, ResponseQuery)
        if query.stream:
            return await self._retell(request, response_id, query)
        if query.starting_after is not None:
            raise InvalidRequestError("starting_after: only with stream=true", param="starting_after")
        if run := self._running_of_caller(response_id):
            return _json(run.builder.response)
        try:
            found = await self._archive.find(response_id, "response_id")
        except NotFoundError:
            return _json(await self._background.rebuild(response_id))
        return web.Response(body=found.document, content_type="application/json")

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/responses/{response_id}: forget a stored response; those that went on from it stay."""
        response_id = request.match_info["response_id"]
        await self._archive.delete(response_id)
        return _json(DeletedResponse(response_id))

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/responses/{response_id}/cancel: stop a response that is being made; its client gets what there is."""
        response_id = request.match_info["response_id"]
        run = self._running_of_caller(response_id)
        if run is not None and self._intake.admission.cancel(response_id):
            response = msgspec.structs.replace(run.builder.response, status="cancelled")
            return _json(response)
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
        model = self._intake.model().name
        with self._generations.open(request, raw, submit, user=body.user, names=NAMES) as generation:
            response = new_response(generation.id, generation.created, model, body, submit)
            run = self._running[response.id] = ResponseRun(self._archive, generation, response, conversation)
            try:
                yield run
            finally:
                if self._running.get(response.id) is run:  # a durable request may have several readers
                    del self._running[response.id]

    async def _retell(self, request: web.Request, response_id: str, query: ResponseQuery) -> web.StreamResponse:
        header = request.headers.get(LAST_EVENT_HEADER)
        seen = query.starting_after if header is None else last_event_number(header)
        run = await self._background.replay(response_id)
        return await run.stream(request, EventNumbers(next=0, seen=-1 if seen is None else seen))


def _json(document: Response | DeletedResponse) -> web.Response:
    response = web.Response(body=msgspec.json.encode(document), content_type="application/json")
    response.headers[REQUEST_ID] = document.id
    return response
