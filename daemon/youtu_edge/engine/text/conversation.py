"""A conversation in the form that chat templates expect: plain dictionaries, as in Hugging Face's libraries.

For a template without tool support, tools become text in ordinary turns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.protocol.tags import CALL_BEGIN, CALL_END

Turn = dict[str, Any]
Tools = list[dict[str, Any]]

_MANNER = (
    "To call a function, answer with "
    '<tool_call>{"name": "the function\'s name", "arguments": {"parameter": "value"}}</tool_call> '
    "and nothing else; its result comes in the next message."
)

_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "id", "type", "function"}
) | {
    "arguments",
    "description",
    "parameters",
}
"""Keys that templates look up; `mapped` leaves them unchanged."""


def turns(messages: list[ChatMessage]) -> list[Turn]:
    """The messages for a template with tool support."""
    return [_turn(message) for message in messages]


def turns_without_tools(messages: list[ChatMessage], tools: Tools) -> list[Turn]:
    """The messages for a template without tool support: definitions are appended to the system message; calls and results
    become text of the assistant and of the user."""
    spoken: list[Turn] = []
    for message in messages:
        if message.role != "tool":
            text = message.content + "".join(_call_text(call) for call in message.tool_calls)
            spoken.append({"role": message.role, "content": text})
            continue
        result = f"<tool_response>{message.content}</tool_response>"
        if spoken and spoken[-1].get("is_result"):
            spoken[-1]["content"] += "\n" + result
        else:
            spoken.append({"role": "user", "content": result, "is_result": True})
    if tools:
        definitions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
        about = f"You may call these functions:\n{definitions}\n{_MANNER}"
        if spoken and spoken[0]["role"] == "system":
            spoken[0]["content"] += "\n\n" + about
        else:
            spoken.insert(0, {"role": "system", "content": about})
    return [{"role": turn["role"], "content": turn["content"]} for turn in spoken]


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The value with `change` applied to every string in it, including keys of objects other than `_KEYS`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {key if key in _KEYS else change(key): mapped(item, change) for key, item in value.items()}
    return value


def strings(value: Any) -> Iterator[str]:
    """Every string in a nested value, in no particular order."""
    found = [value]
    while found:
        item = found.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            found += item
        elif isinstance(item, dict):
            found += item.keys()
            found += item.values()


def _turn(message: ChatMessage) -> Turn:
    turn: Turn = {"role": message.role, "content": message.content}
    if message.name is not None:
        turn["name"] = message.name
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    return turn


def _arguments(call: ToolCall) -> Any:
    """The arguments as an object, which most templates serialise themselves; unchanged text if they are not an object."""
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    return value if isinstance(value, dict) else call.arguments


def _call_text(call: ToolCall) -> str:
    return f'{CALL_BEGIN}{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}{CALL_END}'
