"""Turns of a conversation as Ollama has them. Calls carry no ids there: a result follows the call it belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError


class OllamaCalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """A function that an earlier turn called. `index` and `description`, which some clients add, are ignored."""

    name: str
    arguments: dict[str, Any]
    index: int | None = None
    description: str | None = None


class OllamaMadeCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call made in an earlier turn of the assistant; `id`, if there is one, is what `tool_call_id` refers to."""

    function: OllamaCalledFunction
    id: str | None = None
    type: Literal["function"] | None = None


class OllamaMessage(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation. `tool_name` or `tool_call_id` say which call a result belongs to; without them it is
    the first that has none yet."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[OllamaMadeCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    images: list[Any] | None = None
    """Rejected unless it is empty."""


def chat_messages(messages: Sequence[OllamaMessage]) -> list[ChatMessage]:
    """The conversation in the engine's form. Raises InvalidRequestError and UnsupportedParameterError naming the field."""
    open_calls: list[ToolCall] = []
    turns = []
    for index, message in enumerate(messages):
        _check(f"messages[{index}]", message)
        calls = [
            ToolCall(
                id=call.id or f"call_{index}_{number}",
                name=call.function.name,
                arguments=json.dumps(call.function.arguments, ensure_ascii=False),
            )
            for number, call in enumerate(message.tool_calls or ())
        ]
        open_calls += calls
        answered = _take(open_calls, message) if message.role == "tool" else None
        turns.append(
            ChatMessage(
                role=message.role,
                content=message.content or "",
                name=message.tool_name or (answered.name if answered else None),
                tool_calls=calls,
                tool_call_id=message.tool_call_id or (answered.id if answered else None),
                reasoning=message.thinking or "",
            )
        )
    return turns


def _take(open_calls: list[ToolCall], result: OllamaMessage) -> ToolCall | None:
    """Remove the call that this result belongs to; None: there is none, as in a conversation that lost its beginning."""
    for call in open_calls:
        if result.tool_call_id in (None, call.id) and result.tool_name in (None, call.name):
            open_calls.remove(call)
            return call
    return None


def _check(where: str, message: OllamaMessage) -> None:
    if message.images:
        raise UnsupportedParameterError(
            f"{where}.images: not supported; the model reads only text", param=f"{where}.images"
        )
    for field, role in (
        ("tool_calls", "assistant"),
        ("thinking", "assistant"),
        ("tool_name", "tool"),
        ("tool_call_id", "tool"),
    ):
        if getattr(message, field) and message.role != role:
            raise InvalidRequestError(
                f"{where}.{field}: only allowed in a message with role {role}", param=f"{where}.{field}"
            )
