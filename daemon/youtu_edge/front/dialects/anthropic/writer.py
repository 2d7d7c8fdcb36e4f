"""Builds an Anthropic message from the pieces of an answer, and the events of a streamed one.

Each thought, text and call is a block; a block begins with its first piece and is complete when another kind begins:

    content_block_start, content_block_delta, …, content_block_stop
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Ended, Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.anthropic import response
from youtu_edge.front.dialects.anthropic.response import AnswerMessage, Content, MessageEvent


class MessageWriter:
    """The state of one message, which is complete after its last piece."""

    def __init__(self, message: AnswerMessage) -> None:
        self.message = message
        self._open: Content | None = None
        self._arguments = ""

    def begin(self) -> Documents:
        """The message without content."""
        return [response.MessageStart(msgspec.structs.replace(self.message, content=[]))]

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the message, or its end."""
        return list(self._add(piece))

    async def end(self) -> Documents:
        """Nothing follows the last piece."""
        return []

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The error as an event."""
        return response.message_error_document(error)

    def _add(self, piece: Piece) -> Iterator[MessageEvent]:
        if isinstance(piece, Thought):
            if not isinstance(self._open, response.ThinkingContent):
                yield from self._begin(response.ThinkingContent(""))
            yield from self._more(response.ThinkingDelta(piece.text))
        elif isinstance(piece, Text):
            if piece.text:
                if not isinstance(self._open, response.TextContent):
                    yield from self._begin(response.TextContent(""))
                yield from self._more(response.TextDelta(piece.text))
        elif isinstance(piece, ToolCallStart):
            yield from self._begin(response.ToolUseContent(piece.id, piece.name, {}))
        elif isinstance(piece, ToolArguments):
            yield from self._more(response.InputJsonDelta(piece.text))
        else:
            assert isinstance(piece, Ended), piece
            yield from self._close()
            yield from self._finish(piece)

    @property
    def _index(self) -> int:
        return len(self.message.content) - 1

    def _begin(self, block: Content) -> Iterator[MessageEvent]:
        yield from self._close()
        self._open = block
        self.message.content.append(block)
        yield response.ContentBlockStart(self._index, msgspec.structs.replace(block))

    def _more(self, delta: response.TextDelta | response.ThinkingDelta | response.InputJsonDelta) -> Iterator[MessageEvent]:
        block = self._open
        if isinstance(delta, response.InputJsonDelta):
            self._arguments += delta.partial_json
        elif isinstance(delta, response.ThinkingDelta):
            assert isinstance(block, response.ThinkingContent)
            block.thinking += delta.thinking
        else:
            assert isinstance(block, response.TextContent)
            block.text += delta.text
        yield response.ContentBlockDelta(self._index, delta)

    def _close(self) -> Iterator[MessageEvent]:
        block, self._open = self._open, None
        if block is None:
            return
        if isinstance(block, response.ToolUseContent):
            block.input, self._arguments = _object(self._arguments), ""
        yield response.ContentBlockStop(self._index)

    def _finish(self, ended: Ended) -> Iterator[MessageEvent]:
        message = self.message
        message.stop_reason = response.stop_reason(ended)
        message.stop_sequence = ended.finished.stop_text if message.stop_reason == "stop_sequence" else None
        message.usage = response.usage(ended)
        yield response.MessageDelta(response.MessageEnd(message.stop_reason, message.stop_sequence), message.usage)
        yield response.MessageStop()


def _object(text: str) -> dict[str, object]:
    """A tool's input; empty when the answer met its limit inside it, as `stop_reason` "max_tokens" shows."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}
