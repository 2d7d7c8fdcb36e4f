"""Chat messages as OpenAI's dialect has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from youtu_edge.front.dialects.common.tools import MadeCall
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.request_errors import InvalidRequestError

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""Roles of messages, and their names in chat templates."""
MAX_MESSAGES = 10_000
"""The most messages or items of a request. Each costs tokens, so that more would fit into no context that a board has room
for; a body of 1.6 MB held 45,000 empty ones, and the front answered nobody else while it converted them."""


class TextPart(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One part of a message's content."""

    type: str
    text: str


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation. An answer is accepted as a message of the assistant as it is, and as OpenAI's client
    keeps it: with `annotations`, and with `parsed` by its helpers. Both are ignored."""

    role: str
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[MadeCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    annotations: list[dict[str, Any]] | None = None
    parsed: Any = None

    @property
    def text(self) -> str:
        """The content; its parts are one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


def check_messages(messages: Sequence[Message]) -> None:
    """What types cannot express. Raises InvalidRequestError naming the field."""
    for index, message in enumerate(messages):
        _check(f"messages[{index}]", message)


def chat_messages(messages: Sequence[Message]) -> list[ChatMessage]:
    """The conversation in the engine's form."""
    return [
        ChatMessage(
            role=ROLES[message.role],
            content=message.text,
            name=message.name,
            tool_calls=[call.as_tool_call() for call in message.tool_calls or ()],
            tool_call_id=message.tool_call_id,
            reasoning=message.reasoning_content or "",
        )
        for message in messages
    ]


def _check(where: str, message: Message) -> None:
    def refuse(field: str, why: str) -> None:
        raise InvalidRequestError(f"{where}.{field}: {why}", param=f"{where}.{field}")

    if message.role not in ROLES:
        refuse("role", f"{message.role[:40]!r} is not one of {', '.join(ROLES)}")
    for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if part.type != "text":
            refuse(f"content[{number}].type", f"{part.type[:40]!r} is not supported; only text is")
    if message.role != "assistant":
        for field in ("tool_calls", "reasoning_content"):
            if getattr(message, field):
                refuse(field, "only allowed in a message of the assistant")
    if message.content is None and not message.tool_calls:
        refuse("content", "is required")
    if message.role == "tool" and message.tool_call_id is None:
        refuse("tool_call_id", "is required: it says which call this is the result of")
    if message.role != "tool" and message.tool_call_id is not None:
        refuse("tool_call_id", "only allowed in a message with role tool")
