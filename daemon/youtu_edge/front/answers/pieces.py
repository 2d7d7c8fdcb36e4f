"""The pieces of a streamed answer, which each dialect writes in its own form."""

from __future__ import annotations

from typing import Literal

import msgspec

from youtu_edge.protocol.from_engine import Finished, FinishReason, TokenLogprob
from youtu_edge.protocol.prompt import ToolCall

EndReason = FinishReason | Literal["tool_calls"]


class Thought(msgspec.Struct, frozen=True):
    """More of what the model thinks before it answers, without the tags around it."""

    text: str


class Text(msgspec.Struct, frozen=True):
    """More of the answer proper. `text` is empty when log-probabilities come late."""

    text: str
    logprobs: list[TokenLogprob] = []


class ToolCallStart(msgspec.Struct, frozen=True):
    """The model calls a tool; calls are numbered from 0 and do not overlap."""

    index: int
    id: str
    name: str


class ToolArguments(msgspec.Struct, frozen=True):
    """More of the JSON text of a call's arguments."""

    index: int
    text: str


class Silence(msgspec.Struct, frozen=True):
    """No piece for a while; a stream sends a keep-alive."""


class Ended(msgspec.Struct, frozen=True):
    """The last piece."""

    reason: EndReason
    finished: Finished


Piece = Thought | Text | ToolCallStart | ToolArguments | Silence | Ended


class Answer(msgspec.Struct):
    """All pieces of an answer put together."""

    text: str
    thought: str
    tool_calls: list[ToolCall]
    logprobs: list[TokenLogprob]
    reason: EndReason
    finished: Finished
