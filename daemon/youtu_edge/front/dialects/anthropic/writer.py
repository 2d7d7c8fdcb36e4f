"""Builds an Anthropic message of the pieces of an answer, and tells the events of a streamed one.

Each thought, text and call is a block; a block begins with its first piece and is complete when another kind begins:

    content_block_start, content_block_delta, …, content_block_stop
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from youtu_edge.front.answers.pieces import Ended, Piece, Silence, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.anthropic import documents
from youtu_edge.front.dialects.anthropic.documents import AnswerMessage, Content, MessageEvent


class MessageBuilder:
    """The state of one message."""

    def __init__(self, message: AnswerMessage) -> None:
        self.message = message
        self._open: Content | None = None
        self._arguments = ""

    def begin(self) -> MessageEvent:
        """The request was accepted."""
        return documents.MessageStart(msgspec.structs.replace(self.message, content=[]))

    def add(self, piece: Piece) -> Iterator[MessageEvent]:
        """One more piece; with `Ended` the message is complete."""
        if isinstance(piece, Thought):
            if not isinstance(self._open, documents.ThinkingContent):
                yield from self._begin(documents.ThinkingContent(""))
            yield from self._more(documents.ThinkingDelta(piece.text))
        elif isinstance(piece, Text):
            if piece.text:
                if not isinstance(self._open, documents.TextContent):
                    yield from self._begin(documents.TextContent(""))
                yield from self._more(documents.TextDelta(piece.text))
        elif isinstance(piece, ToolCallStart):
            yield from self._begin(documents.ToolUseContent(piece.id, piece.name, {}))
        elif isinstance(piece, ToolArguments):
            yield from self._more(documents.InputJsonDelta(piece.text))
        elif isinstance(piece, Ended):
            yield from self._close()
            yield from self._end(piece)
        else:
            assert isinstance(piece, Silence), piece

    @property
    def _index(self) -> int:
        return len(self.message.content) - 1

    def _begin(self, block: Content) -> Iterator[MessageEvent]:
        yield from self._close()
        self._open = block
        self.message.content.append(block)
        yield documents.ContentBlockStart(self._index, msgspec.structs.replace(block))

    def _more(
        self, delta: documents.TextDelta | documents.ThinkingDelta | documents.InputJsonDelta
    ) -> Iterator[MessageEvent]:
        block = self._open
        if isinstance(delta, documents.InputJsonDelta):
            self._arguments += delta.partial_json
        elif isinstance(delta, documents.ThinkingDelta):
            assert isinstance(block, documents.ThinkingContent)
            block.thinking += delta.thinking
        else:
            assert isinstance(block, documents.TextContent)
            block.text += delta.text
        yield documents.ContentBlockDelta(self._index, delta)

    def _close(self) -> Iterator[MessageEvent]:
        block, self._open = self._open, None
        if block is None:
            return
        if isinstance(block, documents.ToolUseContent):
            block.input, self._arguments = _object(self._arguments), ""
        yield documents.ContentBlockStop(self._index)

    def _end(self, ended: Ended) -> Iterator[MessageEvent]:
        message = self.message
        message.stop_reason = documents.stop_reason(ended)
        message.stop_sequence = ended.finished.stop_text if message.stop_reason == "stop_sequence" else None
        message.usage = documents.usage(ended)
        yield documents.MessageDelta(documents.MessageEnd(message.stop_reason, message.stop_sequence), message.usage)
        yield documents.MessageStop()


def _object(text: str) -> dict[str, object]:
    """A tool's input; empty when the limit of the answer cut it off, which `stop_reason` "max_tokens" tells."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}
