"""The handlers of /v1/responses: body -> conversation -> Submit -> pieces -> response, stored before its end is told."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from aiohttp import web

from youtu_edge.errors import InvalidRequestError, StorageError, YoutuEdgeError
from youtu_edge.front.bodies import decode_body
from youtu_edge.front.body_reader import BodyReader
from youtu_edge.front.caller import owner
from youtu_edge.front.generation_stream import GenerationStream, open_generation
from youtu_edge.front.intake import Intake
from youtu_edge.front.pieces import Silence
from youtu_edge.front.response_archive import ResponseArchive
from youtu_edge.front.response_builder import ResponseBuilder
from youtu_edge.front.response_documents import DeletedResponse, Response, ResponseEvent, new_response
from youtu_edge.front.response_items import Item, MessageItem, ReasoningText, chat_messages, tidy
from youtu_edge.front.responses import NOT_OFFERED, ResponsesBody, check, fill
from youtu_edge.front.route import Route
from youtu_edge.front.sse import REQUEST_ID, open_stream
from youtu_edge.log import line
from youtu_edge.protocol import Submit

log = logging.getLogger(__name__)


class Run(NamedTuple):
    """One response that is being made for `owner`. `conversation` is everything before its output."""

    owner: str
    generation: GenerationStream
    builder: ResponseBuilder
    conversation: list[Item]


class ResponseHandlers:
    """One instance serves all requests."""

    def __init__(self, intake: Intake, bodies: BodyReader, archive: ResponseArchive) -> None:
        self._intake = intake
        self._bodies = bodies
        self._archive = archive
        self._running: dict[str, Run] = {}

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
            Route("GET", path, self.get, answer=Response, stores=True),
            Route("DELETE", path, self.delete, answer=DeletedResponse, stores=True),
            Route("POST", f"{path}/cancel", self.cancel, answer=Response, stores=True),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/responses: OpenAI's Responses, whole or streamed."""
        self._intake.model()
        body = decode_body(await self._bodies.read(request), ResponsesBody, NOT_OFFERED, tidy)
        check(body)
        self._intake.check_name(body.model)
        limit = self._intake.max_new_tokens("max_output_tokens", body.max_output_tokens)
        submit = self._intake.submit("resp", body, limit)
        submit.id = f"resp_{secrets.token_hex(16)}"
        fill(submit, body)
        earlier = await self._earlier(body)
        asked = [MessageItem(role="user", content=body.input)] if isinstance(body.input, str) else body.input
        submit.messages = chat_messages(body.instructions, earlier, asked)
        with self._run(submit, body, [*earlier, *asked]) as run:
            await run.generation.accepted()
            if body.stream:
                return await self._stream(request, run)
            async for _ in self._events(run):
                pass
            return _json(run.builder.response)

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/responses/{response_id}: a response that was stored, or is being made."""
        response_id = request.match_info["response_id"]
        if run := self._running_of_caller(response_id):
            return _json(run.builder.response)
        found = await self._archive.find(response_id, "response_id")
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

    def _running_of_caller(self, response_id: str) -> Run | None:
        run = self._running.get(response_id)
        return run if run is not None and run.owner == owner() else None

    async def _earlier(self, body: ResponsesBody) -> list[Item]:
        if body.previous_response_id is None:
            return []
        return (await self._archive.find(body.previous_response_id, "previous_response_id")).conversation

    @contextmanager
    def _run(self, submit: Submit, body: ResponsesBody, conversation: list[Item]) -> Iterator[Run]:
        model = self._intake.model().name
        with open_generation(self._intake.admission, submit, user=body.user) as generation:
            response = new_response(generation.id, generation.created, model, body, submit)
            run = self._running[response.id] = Run(owner(), generation, ResponseBuilder(response), conversation)
            try:
                yield run
            finally:
                if self._running.get(response.id) is run:  # a durable request may have several readers
                    del self._running[response.id]

    async def _stream(self, request: web.Request, run: Run) -> web.StreamResponse:
        stream = await open_stream(request, run.generation.id)
        try:
            async for events in self._events(run):
                if events:
                    await stream.send(events)
                else:
                    await stream.keep_alive()
        except YoutuEdgeError as error:  # the status is long sent; the error is the last event
            await stream.send_error(run.builder.fail(error))
        await stream.response.write_eof()
        return stream.response

    async def _events(self, run: Run) -> AsyncIterator[Sequence[ResponseEvent]]:
        """All events, none after a silence; the response is stored before the last. Raises what ended it otherwise."""
        yield list(run.builder.begin())
        async for piece in run.generation.pieces():
            if isinstance(piece, Silence):
                yield []
            elif events := list(run.builder.add(piece)):
                yield events
        if run.builder.response.store:
            await self._keep(run)
        yield [run.builder.end()]

    async def _keep(self, run: Run) -> None:
        response = run.builder.response
        try:
            await self._archive.put(response, [*run.conversation, *response.output])
        except StorageError as error:  # the answer is there; losing it as well would help nobody
            log.warning(line("response_not_stored", id=response.id, reason=error.message))
            response.store = False


def _json(document: Response | DeletedResponse) -> web.Response:
    response = web.Response(body=msgspec.json.encode(document), content_type="application/json")
    response.headers[REQUEST_ID] = document.id
    return response
