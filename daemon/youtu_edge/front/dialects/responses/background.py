"""Background responses (`background: true`): generated without a connected client, across crashes and power cuts.

The durable request is the source of truth: a writer makes the same response from its events every time they are read. One
run here reads them to store the finished response; clients can replay the events, from any of them on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import complete
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.dialects.responses.archive import ResponseArchive, not_found
from youtu_edge.front.dialects.responses.items import Item, input_items, tidy
from youtu_edge.front.dialects.responses.request import FIELDS, NAMES, ResponsesBody
from youtu_edge.front.dialects.responses.response import Response, new_response
from youtu_edge.front.dialects.responses.run import ResponseRun
from youtu_edge.front.durable.durable_request import ends_for_now
from youtu_edge.front.durable.durable_requests import DurableRequests
from youtu_edge.front.durable.headers import Durability
from youtu_edge.front.durable.journal import EntrySummary
from youtu_edge.front.http.bodies import decode_body
from youtu_edge.front.http.sse import EventNumbers
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.front.keys.caller import acting_for
from youtu_edge.log import line
from youtu_edge.request_errors import NotFoundError

log = logging.getLogger(__name__)

PATH = "/v1/responses"


class BackgroundResponses:
    """`running` is the table of responses in the making; `model` returns the name of the served model."""

    def __init__(
        self,
        durable: DurableRequests,
        archive: ResponseArchive,
        running: dict[str, ResponseRun],
        model: Callable[[], str],
    ) -> None:
        self._durable = durable
        self._archive = archive
        self._running = running
        self._model = model
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Continue those that the last process left unfinished; called once, after the durable requests were resumed."""
        for summary in self._durable.unfinished(PATH):
            with acting_for(summary.owner):
                try:
                    await self._adopt(summary)
                except YoutuEdgeError as error:
                    log.error(line("response_not_resumed", id=summary.id, reason=error.message))

    async def begin(
        self,
        wanted: Durability | None,
        submit: GenerationRequest,
        body: ResponsesBody,
        raw: bytes,
        conversation: list[Item],
    ) -> ResponseRun:
        """Start a response, or find the one that this Idempotency-Key started. Raises the engine's rejection."""
        follower = self._durable.begin(wanted or Durability(key=None, path=PATH), raw, submit)
        generation = GenerationStream(follower, NAMES)
        await generation.accepted()
        if run := self._running.get(generation.id):
            return run
        return self._run(generation, body, conversation)

    async def rebuild(self, response_id: str) -> Response:
        """A response that ended but was not stored, because the daemon died in between. Raises NotFoundError."""
        try:
            summary = self._durable.owned(response_id)
            run = await self._adopt(summary)
        except NotFoundError:
            raise not_found(response_id, "response_id") from None
        await self._tasks[response_id]
        return run.response

    async def replay(self, response_id: str, last_seen: int) -> ResponseRun:
        """A run over the events of a response, to stream those after number `last_seen`. Raises NotFoundError."""
        try:
            self._durable.owned(response_id)
            entry = await self._durable.entry(response_id)
        except NotFoundError:
            raise not_found(response_id, "response_id") from None
        body = decode_body(entry.body, ResponsesBody, FIELDS, tidy)
        numbers = EventNumbers(next=0, seen=last_seen)
        generation = GenerationStream(self._durable.follow(response_id, entry.submit), NAMES, numbers)
        return ResponseRun(None, generation, self._response(generation, body))

    async def close(self) -> None:
        """Stop reading; called when the requests have ended for this process."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _adopt(self, summary: EntrySummary) -> ResponseRun:
        entry = await self._durable.entry(summary.id)
        body = decode_body(entry.body, ResponsesBody, FIELDS, tidy)
        earlier: list[Item] = []
        if body.previous_response_id is not None:
            earlier = (await self._archive.find(body.previous_response_id, "previous_response_id")).conversation
        generation = GenerationStream(self._durable.follow(summary.id, entry.submit), NAMES)
        return self._run(generation, body, [*earlier, *input_items(body.input)])

    def _run(self, generation: GenerationStream, body: ResponsesBody, conversation: list[Item]) -> ResponseRun:
        run = ResponseRun(self._archive, generation, self._response(generation, body), conversation)
        self._running[generation.id] = run
        self._tasks[generation.id] = asyncio.create_task(self._complete(run))
        return run

    def _response(self, generation: GenerationStream, body: ResponsesBody) -> Response:
        return new_response(generation.id, generation.created, self._model(), body, generation.source.submit)

    async def _complete(self, run: ResponseRun) -> None:
        try:
            await complete(run.generation, run.writer)
        except YoutuEdgeError as error:
            run.writer.fail(error)
            if not ends_for_now(error.code):
                await run.store()
        finally:
            del self._running[run.generation.id]
            del self._tasks[run.generation.id]
