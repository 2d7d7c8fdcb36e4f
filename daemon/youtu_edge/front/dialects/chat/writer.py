"""The chunks of streamed chat completions."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Ended, EndReason, Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.chat.response import CallPiece, ChatCompletionChunk, ChunkChoice, FunctionPiece, MessagePiece
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.dialects.common.logprobs import choice_logprobs
from youtu_edge.front.dialects.common.usage import usage
from youtu_edge.front.http.error_body import error_document
from youtu_edge.protocol.from_engine import Finished, TokenLogprob


class ChatWriter:
    """`count` answers to one conversation."""

    def __init__(self, head: Head, count: int, *, include_usage: bool, with_logprobs: bool) -> None:
        self._head = head
        self._count = count
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        self._finished: dict[int, Finished] = {}

    def begin(self) -> Documents:
        """The role comes first, with empty content."""
        return [self._chunk(index, MessagePiece(role="assistant", content="")) for index in range(self._count)]

    def write(self, index: int, piece: Piece) -> Documents:
        """One chunk for each piece."""
        if isinstance(piece, Text):
            return [self._chunk(index, MessagePiece(content=piece.text), piece.logprobs)]
        if isinstance(piece, Thought):
            return [self._chunk(index, MessagePiece(reasoning_content=piece.text))]
        if isinstance(piece, ToolCallStart):
            function = FunctionPiece(name=piece.name, arguments="")
            begun = CallPiece(index=piece.index, id=piece.id, type="function", function=function)
            return [self._chunk(index, MessagePiece(tool_calls=[begun]))]
        if isinstance(piece, ToolArguments):
            more = CallPiece(index=piece.index, function=FunctionPiece(arguments=piece.text))
            return [self._chunk(index, MessagePiece(tool_calls=[more]))]
        assert isinstance(piece, Ended), piece
        self._finished[index] = piece.finished
        return [self._chunk(index, MessagePiece(), reason=piece.reason)]

    async def end(self) -> Documents:
        """The usage in a chunk without choices if the client wants it, then the mark of a complete answer."""
        if not self._include_usage:
            return ["[DONE]"]
        chunk = self._document([])
        chunk.usage = usage((self._finished[index] for index in range(self._count)), self._count)
        return [chunk, "[DONE]"]

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The error as an event."""
        return error_document(error)

    def _chunk(
        self,
        index: int,
        delta: MessagePiece,
        entries: list[TokenLogprob] | None = None,
        reason: EndReason | None = None,
    ) -> ChatCompletionChunk:
        reported = choice_logprobs(entries) if self._with_logprobs and entries else None
        return self._document([ChunkChoice(index, delta, reported, reason)])

    def _document(self, choices: list[ChunkChoice]) -> ChatCompletionChunk:
        head = self._head
        return ChatCompletionChunk(
            head.id, "chat.completion.chunk", head.created, head.model, choices, None if self._include_usage else UNSET
        )
