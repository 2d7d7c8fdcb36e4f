"""The responses of Anthropic's Messages: a message, the events of a streamed one, and errors."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.answers.pieces import Ended

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "cancelled"]


class MessageUsage(msgspec.Struct):
    """Tokens of the whole message. `input_tokens` excludes what the prefix cache supplied."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class TextContent(msgspec.Struct, tag_field="type", tag="text"):
    """The answer proper."""

    text: str


class ThinkingContent(msgspec.Struct, tag_field="type", tag="thinking"):
    """What the model thought."""

    thinking: str
    signature: str = ""


class ToolUseContent(msgspec.Struct, tag_field="type", tag="tool_use"):
    """The model calls a tool of the client."""

    id: str
    name: str
    input: dict[str, Any]


Content = TextContent | ThinkingContent | ToolUseContent


class AnswerMessage(msgspec.Struct, kw_only=True):
    """A message of the assistant; `stop_reason` "cancelled" means that it was stopped by a request."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[Content] = []
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessageUsage


class TokenCount(msgspec.Struct):
    """Answer of POST /v1/messages/count_tokens."""

    input_tokens: int


class MessageStart(msgspec.Struct, tag_field="type", tag="message_start"):
    """The message begins, without content; its usage counts the prompt."""

    message: AnswerMessage


class ContentBlockStart(msgspec.Struct, tag_field="type", tag="content_block_start"):
    """A block begins, still empty."""

    index: int
    content_block: Content


class TextDelta(msgspec.Struct, tag_field="type", tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta"):
    """More of a thought."""

    thinking: str


class InputJsonDelta(msgspec.Struct, tag_field="type", tag="input_json_delta"):
    """More of the JSON text of a tool's input."""

    partial_json: str


class ContentBlockDelta(msgspec.Struct, tag_field="type", tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: TextDelta | ThinkingDelta | InputJsonDelta


class ContentBlockStop(msgspec.Struct, tag_field="type", tag="content_block_stop"):
    """A block is complete."""

    index: int


class MessageEnd(msgspec.Struct):
    """Why a message ended."""

    stop_reason: StopReason | None
    stop_sequence: str | None


class MessageDelta(msgspec.Struct, tag_field="type", tag="message_delta"):
    """Known only at the end: the reason, and the final usage."""

    delta: MessageEnd
    usage: MessageUsage


class MessageStop(msgspec.Struct, tag_field="type", tag="message_stop"):
    """The last event."""


class MessageError(msgspec.Struct):
    """What went wrong. `param` and `code` are additions: the field of the request, and a code of docs/api.md."""

    type: str
    message: str
    param: str | None
    code: str


class MessageErrorDocument(msgspec.Struct, tag_field="type", tag="error"):
    """The body of every error response of /v1/messages, and the last event of a stream that failed."""

    error: MessageError


_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    410: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Anthropic's type of an error, by status."""

MessageEvent = MessageStart | ContentBlockStart | ContentBlockDelta | ContentBlockStop | MessageDelta | MessageStop


def usage(ended: Ended) -> MessageUsage:
    """Token counts of a finished message."""
    finished = ended.finished
    return MessageUsage(finished.prompt_tokens - finished.cached_tokens, finished.completion_tokens, finished.cached_tokens)


def stop_reason(ended: Ended) -> StopReason:
    """Anthropic's word for the reason of the end."""
    if ended.reason == "stop":
        return "end_turn" if ended.finished.stop_text is None else "stop_sequence"
    reasons: dict[str, StopReason] = {"length": "max_tokens", "tool_calls": "tool_use", "cancelled": "cancelled"}
    return reasons[ended.reason]


def message_error_document(error: YoutuEdgeError) -> MessageErrorDocument:
    """The error in the form that Anthropic's clients expect."""
    kind = _ERROR_TYPES.get(error.http_status, "api_error")
    return MessageErrorDocument(MessageError(kind, error.message, error.param, error.code))
