"""The chunks of streamed completions."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Ended, EndReason, Piece, Text
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.dialects.common.usage import usage
from youtu_edge.front.dialects.completions.response import TextChoice, TextCompletion
from youtu_edge.front.dialects.completions.text_logprobs import TextLogprobs, TextLogprobWriter
from youtu_edge.front.http.error_body import error_document
from youtu_edge.protocol.from_engine import Finished


class CompletionWriter:
    """`total` answers, `count` to each prompt."""

    def __init__(self, head: Head, total: int, count: int, *, include_usage: bool, with_logprobs: bool) -> None:
        self._head = head
        self._count = count
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        self._finished: dict[int, Finished] = {}
        self._lengths = [0] * total
        self._logprobs = [TextLogprobWriter() for _ in range(total)]

    def begin(self) -> Documents:
        """Nothing precedes the text."""
        return []

    def write(self, index: int, piece: Piece) -> Documents:
        """More text of an answer, or its end."""
        if isinstance(piece, Ended):
            self._finished[index] = piece.finished
            return [self._chunk(index, "", None, piece.reason)]
        if not isinstance(piece, Text):
            return []
        self._lengths[index] += len(piece.text)
        reported = None
        if self._with_logprobs and piece.logprobs:
            reported = self._logprobs[index].write(piece.logprobs, self._lengths[index])
        return [self._chunk(index, piece.text, reported, None)]

    async def end(self) -> Documents:
        """The usage in a chunk without choices if the client wants it, then the mark of a complete answer."""
        if not self._include_usage:
            return ["[DONE]"]
        chunk = self._document([])
        chunk.usage = usage((self._finished[index] for index in range(len(self._lengths))), self._count)
        return [chunk, "[DONE]"]

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The error as an event."""
        return error_document(error)

    def _chunk(self, index: int, text: str, reported: TextLogprobs | None, reason: EndReason | None) -> TextCompletion:
        return self._document([TextChoice(index, text, reported, reason)])

    def _document(self, choices: list[TextChoice]) -> TextCompletion:
        head = self._head
        return TextCompletion(
            head.id, "text_completion", head.created, head.model, choices, None if self._include_usage else UNSET
        )
