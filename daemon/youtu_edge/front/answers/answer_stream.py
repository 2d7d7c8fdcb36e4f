"""Sends what was generated: whole as a document, or piece by piece as server-sent events in the words of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from aiohttp import web

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.generation_stream import GenerationStream, merged
from youtu_edge.front.answers.pieces import Piece, Silence
from youtu_edge.front.http.error_body import error_document
from youtu_edge.front.http.sse import REQUEST_ID, open_stream

Documents = Sequence[Mapping[str, object] | str]


class Writer(Protocol):
    """A dialect's documents of a streamed answer; a string is sent as it is."""

    def begin(self) -> Documents:
        """What precedes all pieces."""

    def write(self, index: int, piece: Piece) -> Documents:
        """What tells of a piece of answer number `index`; `Silence` never comes here."""

    def end(self) -> Documents:
        """What follows after all answers have ended."""


async def stream_answers(
    request: web.Request, generations: Sequence[GenerationStream], writer: Writer
) -> web.StreamResponse:
    """Answer with an event stream. Before the status is sent, raises what the engine refuses; later errors are events."""
    for generation in generations:
        await generation.accepted()
    stream = await open_stream(request, generations[0].id, generations[0].numbers)
    try:
        await stream.send(writer.begin())
        async for index, piece in merged(generations):
            if isinstance(piece, Silence):
                await stream.keep_alive()
            else:
                await stream.send(writer.write(index, piece))
        await stream.send(writer.end())
    except YoutuEdgeError as error:  # the status is long sent; the error is the last event
        await stream.send_error(error_document(error))
    except ConnectionError:  # the client left, and nobody is there to be told anything
        return stream.response
    await stream.response.write_eof()
    return stream.response


def json_response(document: Mapping[str, object], request_id: str) -> web.Response:
    """A complete answer; the id of its request is in the header too."""
    body = msgspec.json.encode(document)
    return web.Response(body=body, content_type="application/json", headers={REQUEST_ID: request_id})
