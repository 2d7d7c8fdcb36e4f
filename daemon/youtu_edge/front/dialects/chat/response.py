"""Types of what OpenAI's chat and completions answer; `builder` and `completion_request` make them."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from youtu_edge.front.answers.pieces import EndReason
from youtu_edge.front.dialects.common.logprobs import ChoiceLogprobs
from youtu_edge.front.dialects.common.usage import TokenUsage


class AnsweredFunction(TypedDict):
    """What is called; `arguments` is JSON text."""

    name: str
    arguments: str


class AnsweredCall(TypedDict):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnsweredMessage(TypedDict):
    """An answer; the content is null where there are only calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[AnsweredCall]]


class ChatChoice(TypedDict):
    """One of the answers."""

    index: int
    message: AnsweredMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: EndReason


class ChatCompletion(TypedDict):
    """Answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


class FunctionPiece(TypedDict):
    """The name once, then more of the arguments."""

    arguments: str
    name: NotRequired[str]


class CallPiece(TypedDict):
    """More of a call."""

    index: int
    function: FunctionPiece
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]


class MessagePiece(TypedDict, total=False):
    """More of an answer."""

    role: Literal["assistant"]
    content: str
    reasoning_content: str
    tool_calls: list[CallPiece]


class ChunkChoice(TypedDict):
    """More of one of the answers."""

    index: int
    delta: MessagePiece
    logprobs: ChoiceLogprobs | None
    finish_reason: EndReason | None


class ChatCompletionChunk(TypedDict):
    """Event of a streamed chat."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: NotRequired[TokenUsage | None]


class TextLogprobs(TypedDict):
    """Log-probabilities in the shape of completions."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(TypedDict):
    """One of the texts, or more of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: EndReason | None


class TextCompletion(TypedDict):
    """Answer of POST /v1/completions, and event of a streamed one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: NotRequired[TokenUsage | None]
