"""The events of POST /chat_stream."""

from __future__ import annotations

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Ended, Piece, Text, Thought
from youtu_edge.front.conversations.turn import TurnStream
from youtu_edge.front.dialects.plain.response import PlainEvent, tell_turn, usage
from youtu_edge.front.http.error_body import error_document


class PlainWriter:
    """The ids, any number of thoughts and texts, then `done`."""

    def __init__(self, generation: GenerationStream) -> None:
        self._generation = generation

    def begin(self) -> Documents:
        """The ids with which the client can cancel, interrupt or continue."""
        ids = PlainEvent(request_id=self._generation.id)
        if isinstance(self._generation, TurnStream):
            ids.session_id = self._generation.session_id
        return [ids]

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the answer, or its end."""
        if isinstance(piece, Text):
            return [PlainEvent(text=piece.text)]
        if isinstance(piece, Thought):
            return [PlainEvent(thinking=piece.text)]
        if isinstance(piece, Ended):
            end = PlainEvent(done=True, finish_reason=piece.reason, usage=usage(piece.finished))
            if isinstance(self._generation, TurnStream):
                tell_turn(end, self._generation)
            return [end]
        return []

    async def end(self) -> Documents:
        """Nothing follows the last piece."""
        return []

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The error as an event."""
        return error_document(error)
