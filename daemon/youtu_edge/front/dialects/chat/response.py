"""The responses of OpenAI's chat completions: the whole document, and the chunks of a streamed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from youtu_edge.front.answers.pieces import Answer, EndReason
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.dialects.common.logprobs import ChoiceLogprobs, choice_logprobs
from youtu_edge.front.dialects.common.usage import TokenUsage, usage


class AnsweredFunction(msgspec.Struct):
    """The function to call; `arguments` is JSON text."""

    name: str
    arguments: str


class AnsweredCall(msgspec.Struct):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnsweredMessage(msgspec.Struct):
    """An answer; the content is null when there are only calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[AnsweredCall] | UnsetType = UNSET


class ChatChoice(msgspec.Struct):
    """One of the answers."""

    index: int
    message: AnsweredMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: EndReason


class ChatCompletion(msgspec.Struct):
    """Answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


class FunctionPiece(msgspec.Struct, kw_only=True):
    """The name once, then more of the arguments."""

    name: str | UnsetType = UNSET
    arguments: str


class CallPiece(msgspec.Struct, kw_only=True):
    """More of a call."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionPiece


class MessagePiece(msgspec.Struct):
    """More of an answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallPiece] | UnsetType = UNSET


class ChunkChoice(msgspec.Struct):
    """More of one of the answers."""

    index: int
    delta: MessagePiece
    logprobs: ChoiceLogprobs | None
    finish_reason: EndReason | None


class ChatCompletionChunk(msgspec.Struct):
    """Event of a streamed chat."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | UnsetType | None = UNSET


def completion(head: Head, answers: Sequence[Answer], *, with_logprobs: bool) -> ChatCompletion:
    """The answers in one document."""
    choices = [
        ChatChoice(index, _message(answer), choice_logprobs(answer.logprobs) if with_logprobs else None, answer.reason)
        for index, answer in enumerate(answers)
    ]
    total = usage((answer.finished for answer in answers), len(answers))
    return ChatCompletion(head.id, "chat.completion", head.created, head.model, choices, total)


def _message(answer: Answer) -> AnsweredMessage:
    message = AnsweredMessage("assistant", answer.text, None, answer.thought or UNSET)
    if answer.tool_calls:
        message.content = answer.text or None
        message.tool_calls = [
            AnsweredCall(call.id, "function", AnsweredFunction(call.name, call.arguments)) for call in answer.tool_calls
        ]
    return message
