"""A conversation in the form that chat templates expect: plain dictionaries, as in Hugging Face's libraries.

For a template without tool support, tools become text in ordinary turns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.tool_formats import ToolFormat

Turn = dict[str, Any]
Tools = list[dict[str, Any]]

_MANNER = "To call a function, answer with {} and nothing else; its result comes in the next message."

_KEYS = frozenset({"role", "content", "name", "tools", "tool_calls", "tool_call_id", "reasoning_content", "thought"}) | {
    "id",
    "type",
    "function",
    "arguments",
    "description",
    "parameters",
}
"""Keys that templates look up; `mapped` leaves them unchanged."""


def turns(messages: list[ChatMessage], form: ToolFormat) -> list[Turn]:
    """The messages for a template with tool support."""
    return [_turn(message, form) for message in messages]


def turns_without_tools(messages: list[ChatMessage], tools: Tools, form: ToolFormat) -> list[Turn]:
    """The messages for a template without tool support: definitions are appended to the system message, or stand beside its
    text where the template has a place for them; calls and results become text of the assistant and of the user."""
    spoken: list[Turn] = []
    for message in messages:
        if message.role != "tool":
            text = message.content + "".join(form.call(call.name, call.arguments) for call in message.tool_calls)
            spoken.append({"role": message.role, "content": text})
            continue
        result = f"<tool_response>{message.content}</tool_response>"
        if spoken and spoken[-1].get("is_result"):
            spoken[-1]["content"] += "\n" + result
        else:
            spoken.append({"role": "user", "content": result, "is_result": True})
    if tools:
        _tell(spoken, [tool["function"] for tool in tools], form)
    return [{key: value for key, value in turn.items() if key != "is_result"} for turn in spoken]


def _tell(spoken: list[Turn], functions: list[dict[str, Any]], form: ToolFormat) -> None:
    if not spoken or spoken[0]["role"] != "system":
        spoken.insert(0, {"role": "system", "content": ""})
    if form.is_in_system:
        spoken[0]["tools"] = json.dumps(functions, ensure_ascii=False)
        return
    definitions = "\n".join(json.dumps(function, ensure_ascii=False) for function in functions)
    manner = _MANNER.format(form.call("the function's name", '{"parameter": "value"}'))
    about = f"You may call these functions:\n{definitions}\n{manner}"
    before = spoken[0]["content"]
    spoken[0]["content"] = f"{before}\n\n{about}" if before else about


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


def _turn(message: ChatMessage, form: ToolFormat) -> Turn:
    turn: Turn = {"role": message.role, "content": message.content}
    if message.name is not None:
        turn["name"] = message.name
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": _id(call.id, form), "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = _id(message.tool_call_id, form)
    if message.reasoning:
        turn["reasoning_content"] = turn["thought"] = message.reasoning  # the second is MiniCPM's
    return turn


def _id(call_id: str, form: ToolFormat) -> str:
    """The id itself, or what stands for it in a template that demands another length."""
    if form.id_length in (0, len(call_id)):
        return call_id
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[: form.id_length]


def _arguments(call: ToolCall) -> Any:
    """The arguments as an object, which most templates serialise themselves; unchanged text if they are not an object."""
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    return value if isinstance(value, dict) else call.arguments
