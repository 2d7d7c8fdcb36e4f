"""Conversations as data."""

from __future__ import annotations

import msgspec


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the assistant made in an earlier turn; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation. Every string in it is data and never parsed for control tokens.

    A role `tool` answers the call `tool_call_id` of an earlier assistant's `tool_calls`. `reasoning` is what the assistant
    thought in that turn; most templates leave it out of the prompt. `tokens` are the ids that the engine drew for an answer
    of which `content` is all or the beginning: the prompt repeats exactly these ids, so that they hit the prefix cache.
    """

    role: str
    content: str
    name: str | None = None
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None
    reasoning: str = ""
    tokens: list[int] = []
