"""The documents of OpenAI's chat dialect: a whole answer, or chunks of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Answer, Ended, EndReason, Piece, Text, Thought, ToolArguments, ToolCallStart
from youtu_edge.front.dialects.common.logprobs import logprobs
from youtu_edge.front.dialects.common.usage import usage
from youtu_edge.front.dialects.openai.documents import (
    AnsweredCall,
    AnsweredMessage,
    CallPiece,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    MessagePiece,
)
from youtu_edge.protocol.from_engine import Finished, TokenLogprob
from youtu_edge.protocol.prompt import ToolCall


class Head(msgspec.Struct, frozen=True):
    """What every document of an answer begins with."""

    id: str
    created: int
    """Unix time in seconds."""
    model: str


def completion(head: Head, answers: Sequence[Answer], *, with_logprobs: bool) -> ChatCompletion:
    """The answers in one document."""
    choices: list[ChatChoice] = [
        {
            "index": index,
            "message": _message(answer),
            "logprobs": logprobs(answer.logprobs) if with_logprobs else None,
            "finish_reason": answer.reason,
        }
        for index, answer in enumerate(answers)
    ]
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
        "usage": usage(*(answer.finished for answer in answers)),
    }


class ChunkWriter:
    """The chunks of streamed answers."""

    def __init__(self, head: Head, count: int, *, include_usage: bool, with_logprobs: bool) -> None:
        self._head = head
        self._count = count
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        self._finished: dict[int, Finished] = {}

    def begin(self) -> Documents:
        """The role comes first, with empty content."""
        return [self._chunk(index, {"role": "assistant", "content": ""}) for index in range(self._count)]

    def write(self, index: int, piece: Piece) -> Documents:
        """One chunk a piece."""
        if isinstance(piece, Text):
            return [self._chunk(index, {"content": piece.text}, piece.logprobs)]
        if isinstance(piece, Thought):
            return [self._chunk(index, {"reasoning_content": piece.text})]
        if isinstance(piece, ToolCallStart):
            begun: CallPiece = {
                "index": piece.index,
                "id": piece.id,
                "type": "function",
                "function": {"name": piece.name, "arguments": ""},
            }
            return [self._chunk(index, {"tool_calls": [begun]})]
        if isinstance(piece, ToolArguments):
            more: CallPiece = {"index": piece.index, "function": {"arguments": piece.text}}
            return [self._chunk(index, {"tool_calls": [more]})]
        assert isinstance(piece, Ended), piece
        self._finished[index] = piece.finished
        return [self._chunk(index, {}, reason=piece.reason)]

    def end(self) -> Documents:
        """The usage in a chunk without choices if it was asked for, then the mark of a complete answer."""
        if not self._include_usage:
            return ["[DONE]"]
        chunk = self._document([])
        chunk["usage"] = usage(*(self._finished[index] for index in range(self._count)))
        return [chunk, "[DONE]"]

    def _chunk(
        self,
        index: int,
        delta: MessagePiece,
        entries: list[TokenLogprob] | None = None,
        reason: EndReason | None = None,
    ) -> ChatCompletionChunk:
        reported = logprobs(entries) if self._with_logprobs and entries else None
        chunk = self._document([{"index": index, "delta": delta, "logprobs": reported, "finish_reason": reason}])
        if self._include_usage:
            chunk["usage"] = None
        return chunk

    def _document(self, choices: list[ChunkChoice]) -> ChatCompletionChunk:
        head = self._head
        return {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        }


def _message(answer: Answer) -> AnsweredMessage:
    message: AnsweredMessage = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.thought:
        message["reasoning_content"] = answer.thought
    if answer.tool_calls:
        message["content"] = answer.text or None
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    return message


def _tool_call(call: ToolCall) -> AnsweredCall:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
