"""Builds a response from the pieces of an answer, and the events of a streamed one.

Each thought, text and call is an item; an item begins with its first piece and is done when another kind begins:

    output_item.added, content_part.added, …delta, …delta, …done, content_part.done, output_item.done
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Ended, Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.common.logprobs import logprobs
from youtu_edge.front.dialects.responses import response as documents
from youtu_edge.front.dialects.responses.items import (
    FunctionCall,
    MessageItem,
    OutputText,
    Reasoning,
    ReasoningText,
    Status,
)
from youtu_edge.front.dialects.responses.response import Response, ResponseEvent
from youtu_edge.front.dialects.responses.tools import offered


class ResponseWriter:
    """The state of one response, which is complete up to the last event.

    Events follow from the pieces and the response's id alone: every reader of a durable request gets the same ones.
    """

    def __init__(self, response: Response, store: Callable[[], Awaitable[None]]) -> None:
        """`store` is awaited before the last event of a response that did not fail."""
        self.response = response
        self._store = store
        self._number = 0
        self._tools = {tool.name: tool for tool in offered(response.tools)}
        self._open: MessageItem | FunctionCall | Reasoning | None = None

    def begin(self) -> Documents:
        """The response without output."""
        return [
            documents.ResponseCreated(self._next(), self._copy()),
            documents.ResponseInProgress(self._next(), self._copy()),
        ]

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the response. After `Ended` it is complete, but its last event is left to `end`."""
        return list(self._add(piece))

    async def end(self) -> Documents:
        """The last event of a response that did not fail."""
        await self._store()
        kind = documents.ResponseCompleted if self.response.status == "completed" else documents.ResponseIncomplete
        return [kind(self._next(), self._copy())]

    def fail(self, error: YoutuEdgeError) -> msgspec.Struct:
        """The last event of a response that failed."""
        self.response.status = "failed"
        self.response.error = documents.failure(error)
        return documents.ResponseFailed(self._next(), self._copy())

    def _add(self, piece: Piece) -> Iterator[ResponseEvent]:
        if isinstance(piece, Thought):
            yield from self._think(piece.text)
        elif isinstance(piece, Text):
            yield from self._write(piece)
        elif isinstance(piece, ToolCallStart):
            yield from self._close("completed")
            yield from self._begin(self._call(piece))
        elif isinstance(piece, ToolArguments):
            called = self._open
            assert isinstance(called, FunctionCall)
            called.arguments += piece.text
            yield documents.ArgumentsDelta(self._next(), called.id or "", self._index, piece.text)
        else:
            assert isinstance(piece, Ended), piece
            yield from self._close("completed" if piece.reason in ("stop", "tool_calls") else "incomplete")
            self._finish(piece)

    @property
    def _index(self) -> int:
        return len(self.response.output) - 1

    def _id(self, kind: str) -> str:
        return f"{kind}_{self.response.id.partition('_')[2]}_{len(self.response.output)}"

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _copy(self) -> Response:
        # The response grows before its events are encoded.
        return msgspec.structs.replace(self.response, output=[_copy(item) for item in self.response.output])

    def _call(self, piece: ToolCallStart) -> FunctionCall:
        called = self._tools.get(piece.name)
        return FunctionCall(
            id=self._id("fc"),
            call_id=piece.id,
            name=called.function.name if called else piece.name,
            namespace=called.namespace.name if called and called.namespace else None,
            arguments="",
            status="in_progress",
        )

    def _think(self, text: str) -> Iterator[ResponseEvent]:
        if not isinstance(self._open, Reasoning):
            yield from self._close("completed")
            yield from self._begin(Reasoning(id=self._id("rs"), content=[], status="in_progress"))
            yield from self._begin_part(ReasoningText(""))
        item = self._open
        assert isinstance(item, Reasoning)
        assert item.content
        item.content[0].text += text
        yield documents.ReasoningTextDelta(self._next(), item.id or "", self._index, 0, text)

    def _write(self, piece: Text) -> Iterator[ResponseEvent]:
        if not isinstance(self._open, MessageItem):
            yield from self._close("completed")
            yield from self._begin(MessageItem(id=self._id("msg"), role="assistant", content=[], status="in_progress"))
            yield from self._begin_part(OutputText("", logprobs=[]))
        item = self._open
        assert isinstance(item, MessageItem)
        part = item.content[0]
        assert isinstance(part, OutputText)
        entries = logprobs(piece.logprobs)
        part.text += piece.text
        if entries:
            part.logprobs = [*(part.logprobs or ()), *msgspec.to_builtins(entries)]
        yield documents.OutputTextDelta(self._next(), item.id or "", self._index, 0, piece.text, entries)

    def _begin(self, item: MessageItem | FunctionCall | Reasoning) -> Iterator[ResponseEvent]:
        self._open = item
        self.response.output.append(item)
        yield documents.OutputItemAdded(self._next(), self._index, _copy(item))

    def _begin_part(self, part: OutputText | ReasoningText) -> Iterator[ResponseEvent]:
        item = self._open
        assert isinstance(item, MessageItem | Reasoning)
        assert isinstance(item.content, list)
        item.content.append(part)  # type: ignore[arg-type]  # each kind of item is given its own kind of part
        yield documents.ContentPartAdded(self._next(), item.id or "", self._index, 0, msgspec.structs.replace(part))

    def _close(self, status: Status) -> Iterator[ResponseEvent]:
        item, self._open = self._open, None
        if item is None:
            return
        item.status = status
        place = item.id or "", self._index
        if isinstance(item, FunctionCall):
            yield documents.ArgumentsDone(self._next(), *place, item.name, item.arguments)
        else:
            assert isinstance(item.content, list)
            part = item.content[0]
            if isinstance(part, ReasoningText):
                yield documents.ReasoningTextDone(self._next(), *place, 0, part.text)
            else:
                assert isinstance(part, OutputText)
                yield documents.OutputTextDone(self._next(), *place, 0, part.text, part.logprobs or [])
            yield documents.ContentPartDone(self._next(), *place, 0, part)
        yield documents.OutputItemDone(self._next(), self._index, item)

    def _finish(self, ended: Ended) -> None:
        response = self.response
        response.usage = documents.usage(ended.finished)
        if ended.reason == "length":
            response.status = "incomplete"
            response.incomplete_details = documents.IncompleteDetails("max_output_tokens")
        else:
            response.status = "cancelled" if ended.reason == "cancelled" else "completed"


def _copy(item: MessageItem | FunctionCall | Reasoning) -> MessageItem | FunctionCall | Reasoning:
    if isinstance(item, FunctionCall):
        return msgspec.structs.replace(item)
    assert isinstance(item.content, list)
    return msgspec.structs.replace(item, content=[msgspec.structs.replace(part) for part in item.content])
