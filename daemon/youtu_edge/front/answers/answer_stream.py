"""Runs the writer of a dialect over the pieces of one or several answers and sends its events, or lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec
from aiohttp import web

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.generation_stream import GenerationStream, merged
from youtu_edge.front.answers.pieces import Piece, Silence
from youtu_edge.front.http.sse import EventNumbers, open_stream

Documents = Sequence[msgspec.Struct | str]
"""Data of server-sent events: structs are sent as JSON, strings as they are. Lines are structs only."""


class Transport(Protocol):
    """A response that has begun: server-sent events (http.sse) or lines of JSON (http.ndjson)."""

    response: web.StreamResponse

    async def send(self, documents: Iterable[msgspec.Struct | str]) -> None:
        """Write documents in one go. Raises ConnectionError when the client is gone."""

    async def send_error(self, document: msgspec.Struct) -> None:
        """Write the last document of a stream that failed."""

    async def keep_alive(self) -> None:
        """Write what readers skip, where the form has such a thing."""


Opener = Callable[[web.Request, str, EventNumbers | None], Awaitable[Transport]]
"""Sends status and headers, with the request's id, and begins the stream."""


class Writer(Protocol):
    """The events of a streamed answer in one dialect."""

    def begin(self) -> Documents:
        """Events before the first piece."""

    def write(self, index: int, piece: Piece) -> Documents:
        """Events for a piece of answer number `index`; `Silence` is never passed."""

    async def end(self) -> Documents:
        """Events after the last answer has ended. What has to be stored before the client sees the end is stored here."""

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The last event of a stream that failed after its status was sent."""


async def stream_answers(
    request: web.Request, generations: Sequence[GenerationStream], writer: Writer, opener: Opener = open_stream
) -> web.StreamResponse:
    """Wait until the engine has accepted the request, then stream. Until then errors are raised, later ones are events."""
    for generation in generations:
        await generation.accepted()
    return await stream_at_once(request, generations, writer, opener)


async def stream_at_once(
    request: web.Request, generations: Sequence[GenerationStream], writer: Writer, opener: Opener = open_stream
) -> web.StreamResponse:
    """Answer with a stream whose status is sent before anything is known; every error is an event."""
    stream = await opener(request, generations[0].id, generations[0].numbers)
    try:
        await stream.send(writer.begin())
        async with aclosing(merged(generations)) as pieces:
            async for index, piece in pieces:
                if isinstance(piece, Silence):
                    await stream.keep_alive()
                else:
                    await stream.send(writer.write(index, piece))
        await stream.send(await writer.end())
    except YoutuEdgeError as error:
        await stream.send_error(writer.fail(error))
    except ConnectionError:  # the client has disconnected
        return stream.response
    await stream.response.write_eof()
    return stream.response


async def complete(generation: GenerationStream, writer: Writer) -> None:
    """Run the writer to the end for the document that it builds; its events are dropped. Raises what ended the answer."""
    writer.begin()
    async for piece in generation.pieces():
        if not isinstance(piece, Silence):
            writer.write(0, piece)
    await writer.end()
