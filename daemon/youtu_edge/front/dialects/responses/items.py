"""Items of the Responses dialect, input and output, and their conversion to chat messages.

Output items are valid input items, so that a client may keep the conversation itself and send it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from youtu_edge.front.dialects.responses.tools import offered_name
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError

Status = Literal["in_progress", "completed", "incomplete"]
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class InputText(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="input_text"):
    """Text of a user or of the system."""

    text: str


class OutputText(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="output_text"):
    """Text of the model. `parsed`, which OpenAI's client adds, is ignored."""

    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] | None = None
    parsed: Any | UnsetType = UNSET


class MessageItem(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="message", kw_only=True):
    """One turn. `type` may be left out in a request; `developer` is another name of `system`."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | OutputText]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="function_call", kw_only=True):
    """The model calls a tool of the client; `arguments` is JSON text. `parsed_arguments`, which OpenAI's client adds, is
    ignored."""

    call_id: Name
    name: Name
    arguments: str
    id: str | None = None
    status: Status | None = None
    caller: None = None
    namespace: Name | None = None
    """That of the tool; null: it has none."""
    parsed_arguments: Any | UnsetType = UNSET


class FunctionCallOutput(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="function_call_output", kw_only=True
):
    """The result of a tool."""

    call_id: Name
    output: str | list[InputText | OutputText]
    id: str | None = None
    status: Status | None = None


class ReasoningText(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="reasoning_text"):
    """What the model thought."""

    text: str


class Reasoning(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="reasoning", kw_only=True):
    """Thoughts before an answer, in full: they are never summarised."""

    id: str | None = None
    summary: Annotated[list[dict[str, Any]], Meta(max_length=0)] = []
    content: list[ReasoningText] | None = None
    encrypted_content: None = None
    status: Status | None = None


Item = MessageItem | FunctionCall | FunctionCallOutput | Reasoning
OutputItem = MessageItem | FunctionCall | Reasoning


def tidy(values: dict[str, Any]) -> None:
    """Complete a request's body in place: items without `type` are messages, tools without it are functions."""
    items = values.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and "role" in item and item.get("type") is None:
            item["type"] = "message"
    tools = values.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and "name" in tool and tool.get("type") is None:
            tool["type"] = "function"


def input_items(given: str | list[Item]) -> list[Item]:
    """The input of a request as items: a text is a message of the user."""
    return [MessageItem(role="user", content=given)] if isinstance(given, str) else given


def chat_messages(instructions: str | None, earlier: Sequence[Item], items: Sequence[Item]) -> list[ChatMessage]:
    """The conversation in the engine's form: the stored items, then those of the request.

    Thoughts, text and calls that follow each other are one turn of the assistant; instructions come first, together with a
    system message if the conversation begins with one. Raises InvalidRequestError for a result without its call.
    """
    turns = _Turns()
    for index, item in enumerate([*earlier, *items], -len(earlier)):
        if isinstance(item, FunctionCallOutput):
            if item.call_id not in turns.called:
                where = f"input[{index}].call_id"
                raise InvalidRequestError(f"{where}: no earlier function_call has this call_id", param=where)
            turns.add(ChatMessage("tool", _joined(item.output), tool_call_id=item.call_id, name=turns.called[item.call_id]))
        elif isinstance(item, FunctionCall):
            turns.call(ToolCall(item.call_id, offered_name(item.namespace, item.name), item.arguments))
        elif isinstance(item, Reasoning):
            turns.think("".join(part.text for part in item.content or ()))
        elif item.role == "assistant":
            turns.write(_joined(item.content))
        else:
            turns.add(ChatMessage("system" if item.role == "developer" else item.role, _joined(item.content)))
    messages = turns.finish()
    if not instructions:
        return messages
    if messages and messages[0].role == "system":
        instructions, messages = f"{instructions}\n\n{messages[0].content}", messages[1:]
    return [ChatMessage("system", instructions), *messages]


class _Turns:
    """Joins the items of each turn of the assistant."""

    def __init__(self) -> None:
        self.called: dict[str, str] = {}
        """Name of the tool by call_id."""
        self._messages: list[ChatMessage] = []
        self._text: str | None = None
        self._thought = ""
        self._calls: list[ToolCall] = []

    def add(self, message: ChatMessage) -> None:
        self._flush()
        self._messages.append(message)

    def think(self, text: str) -> None:
        if self._text is not None or self._calls:
            self._flush()
        self._thought += text

    def write(self, text: str) -> None:
        if self._text is not None or self._calls:
            self._flush()
        self._text = text

    def call(self, call: ToolCall) -> None:
        self._calls.append(call)
        self.called[call.id] = call.name

    def finish(self) -> list[ChatMessage]:
        self._flush()
        return self._messages

    def _flush(self) -> None:
        if self._text is not None or self._calls:
            self._messages.append(
                ChatMessage("assistant", self._text or "", tool_calls=self._calls, reasoning=self._thought)
            )
        self._text, self._thought, self._calls = None, "", []


def _joined(content: str | list[InputText | OutputText]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)
