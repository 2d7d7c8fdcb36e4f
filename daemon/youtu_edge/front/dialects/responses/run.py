"""One response that is being made, or told once more: the events of a generation in the words of OpenAI's Responses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from youtu_edge.errors import StorageError, YoutuEdgeError
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Silence
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.builder import ResponseBuilder
from youtu_edge.front.dialects.responses.documents import Response, ResponseEvent
from youtu_edge.front.dialects.responses.items import Item
from youtu_edge.front.http.sse import EventNumbers, open_stream
from youtu_edge.front.keys.caller import owner
from youtu_edge.log import line

log = logging.getLogger(__name__)


class ResponseRun:
    """`conversation` is everything before the response's own output."""

    def __init__(
        self,
        archive: ResponseArchive | None,
        generation: GenerationStream,
        response: Response,
        conversation: Sequence[Item] = (),
    ) -> None:
        """`archive` None: somebody else stores it."""
        self._archive = archive
        self._conversation = conversation
        self.owner = owner()
        self.generation = generation
        self.builder = ResponseBuilder(response)

    async def events(self) -> AsyncIterator[Sequence[ResponseEvent]]:
        """All events, none after a silence; the response is stored before the last. Raises what ended it otherwise."""
        yield list(self.builder.begin())
        async for piece in self.generation.pieces():
            if isinstance(piece, Silence):
                yield []
            elif events := list(self.builder.add(piece)):
                yield events
        await self.keep()
        yield [self.builder.end()]

    async def keep(self) -> None:
        """Store the response, if it is to be."""
        response = self.builder.response
        if self._archive is None or not response.store:
            return
        try:
            await self._archive.put(response, [*self._conversation, *response.output])
        except StorageError as error:  # the answer is there; losing it as well would help nobody
            log.warning(line("response_not_stored", id=response.id, reason=error.message))
            response.store = False

    async def stream(self, request: web.Request, numbers: EventNumbers | None = None) -> web.StreamResponse:
        """Answer with the events."""
        stream = await open_stream(request, self.generation.id, numbers or self.generation.numbers)
        try:
            async for events in self.events():
                if events:
                    await stream.send(events)
                else:
                    await stream.keep_alive()
        except YoutuEdgeError as error:  # the status is long sent; the error is the last event
            await stream.send_error(self.builder.fail(error))
        except ConnectionError:  # the client left
            return stream.response
        await stream.response.write_eof()
        return stream.response
