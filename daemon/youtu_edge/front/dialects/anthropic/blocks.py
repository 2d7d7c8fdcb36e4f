"""Turns of a conversation as Anthropic's Messages have them, made of blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.dialects.common.tools import ToolName
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError

Id = Annotated[str, Meta(min_length=1, max_length=256)]


class CacheControl(msgspec.Struct, forbid_unknown_fields=True):
    """Marks the end of a prefix worth caching. Accepted and ignored: every prefix is cached here."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
    scope: Literal["global", "organization"] | None = None


class TextBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Text of either side. `citations` and `parsed_output`, left over from an answer, are ignored."""

    text: str
    cache_control: CacheControl | None = None
    citations: list[dict[str, Any]] | None = None
    parsed_output: Any = None


class ThinkingBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="thinking"):
    """A thought of an earlier turn; most templates leave it out. Signatures are neither made nor checked."""

    thinking: str
    signature: str = ""


class ToolUseBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool_use", kw_only=True):
    """The model calls a tool of the client. `caller` is ignored."""

    id: Id
    name: ToolName
    input: dict[str, Any]
    cache_control: CacheControl | None = None
    caller: dict[str, Any] | None = None


class ToolResultBlock(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool_result", kw_only=True):
    """The result of a tool; an error is shown to the model as text that begins with "Error: "."""

    tool_use_id: Id
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class MessageParam(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation. An answer may be sent back whole; only its role and content are used.

    `system` gives further instructions after the first turn.
    """

    role: Literal["user", "assistant", "system"]
    content: str | list[TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock]
    id: str | None = None
    type: Literal["message"] | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, Any] | None = None


def chat_messages(system: str | list[TextBlock] | None, turns: Sequence[MessageParam]) -> list[ChatMessage]:
    """The conversation in the engine's form. Raises InvalidRequestError for a block in the wrong place."""
    messages = [ChatMessage("system", _text(system))] if system else []
    called: dict[str, str] = {}
    for index, turn in enumerate(turns):
        if isinstance(turn.content, str):
            messages.append(ChatMessage(turn.role, turn.content))
        elif turn.role == "system":
            messages.append(_system(turn.content, f"messages[{index}].content"))
        elif turn.role == "assistant":
            messages.append(_assistant(turn.content, f"messages[{index}].content", called))
        else:
            messages += _user(turn.content, f"messages[{index}].content", called)
    return messages


def _system(blocks: list[Any], where: str) -> ChatMessage:
    for index, block in enumerate(blocks):
        if not isinstance(block, TextBlock):
            place = f"{where}[{index}].type"
            raise InvalidRequestError(f"{place}: a turn of the system has only text", param=place)
    return ChatMessage("system", _text(blocks))


def _assistant(blocks: list[Any], where: str, called: dict[str, str]) -> ChatMessage:
    calls: list[ToolCall] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ToolResultBlock):
            raise InvalidRequestError(
                f"{where}[{index}].type: only allowed in a user's turn", param=f"{where}[{index}].type"
            )
        if isinstance(block, ToolUseBlock):
            called[block.id] = block.name
            calls.append(ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False)))
    thought = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    return ChatMessage("assistant", _text(blocks), tool_calls=calls, reasoning=thought)


def _user(blocks: list[Any], where: str, called: dict[str, str]) -> list[ChatMessage]:
    """Each result is a turn of its own; they come before the user's text."""
    results: list[ChatMessage] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ThinkingBlock | ToolUseBlock):
            place = f"{where}[{index}].type"
            raise InvalidRequestError(f"{place}: only allowed in an assistant's turn", param=place)
        if isinstance(block, ToolResultBlock):
            if block.tool_use_id not in called:
                place = f"{where}[{index}].tool_use_id"
                raise InvalidRequestError(f"{place}: no earlier tool_use has this id", param=place)
            text = ("Error: " if block.is_error else "") + _text(block.content or "")
            results.append(ChatMessage("tool", text, tool_call_id=block.tool_use_id, name=called[block.tool_use_id]))
    if len(results) == len(blocks) and results:
        return results
    return [*results, ChatMessage("user", _text(blocks))]


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if isinstance(block, TextBlock))
