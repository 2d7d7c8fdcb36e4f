"""One response in the making, or made again from the events of its durable request."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from youtu_edge.errors import StorageError
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.dialects.responses.archive import ResponseArchive
from youtu_edge.front.dialects.responses.items import Item
from youtu_edge.front.dialects.responses.response import Response
from youtu_edge.front.dialects.responses.writer import ResponseWriter
from youtu_edge.front.keys.caller import owner
from youtu_edge.log import line

log = logging.getLogger(__name__)


class ResponseRun:
    """A generation and the writer that makes a response of it. `conversation`: all items before the response's output."""

    def __init__(
        self,
        archive: ResponseArchive | None,
        generation: GenerationStream,
        response: Response,
        conversation: Sequence[Item] = (),
    ) -> None:
        """`archive` None: the response is stored by another run."""
        self._archive = archive
        self._conversation = conversation
        self.owner = owner()
        self.generation = generation
        self.writer = ResponseWriter(response, self.store)

    @property
    def response(self) -> Response:
        """The response so far."""
        return self.writer.response

    async def store(self) -> None:
        """Store the response, unless its request says otherwise. When the disk fails, its `store` becomes false."""
        response = self.response
        if self._archive is None or not response.store:
            return
        try:
            await self._archive.put(response, [*self._conversation, *response.output])
        except StorageError as error:  # the client still gets the answer
            log.warning(line("response_not_stored", id=response.id, reason=error.message))
            response.store = False
