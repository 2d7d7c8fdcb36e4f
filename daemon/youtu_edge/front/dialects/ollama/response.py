"""The responses of Ollama's generating routes: one document, or the lines of a stream; and errors."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from youtu_edge.errors import YoutuEdgeError

DoneReason = Literal["stop", "length", "load", "cancelled"]


class OllamaAnsweredFunction(msgspec.Struct):
    """The function to call."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaAnsweredCall(msgspec.Struct):
    """A call of a tool."""

    id: str
    function: OllamaAnsweredFunction


class OllamaAnsweredMessage(msgspec.Struct, kw_only=True):
    """An answer, or more of one."""

    role: Literal["assistant"] = "assistant"
    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaAnsweredCall] | UnsetType = UNSET


class OllamaAnswer(msgspec.Struct, kw_only=True):
    """What all answers have. The fields after `done` are in the last line, or in the only document; durations are in
    nanoseconds, as measured by the front."""

    model: str
    """As the request names it."""
    created_at: datetime
    """UTC."""
    done: bool = False
    done_reason: DoneReason | UnsetType = UNSET
    """"cancelled": the answer was stopped by a request."""
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    """0: the model is loaded before it is asked."""
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    """Up to the first text, with the time in the queue."""
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class OllamaChatAnswer(OllamaAnswer, kw_only=True):
    """Answer of POST /api/chat, and a line of its stream."""

    message: OllamaAnsweredMessage


class OllamaGenerateAnswer(OllamaAnswer, kw_only=True):
    """Answer of POST /api/generate, and a line of its stream."""

    response: str
    thinking: str | UnsetType = UNSET


class OllamaError(msgspec.Struct):
    """The body of every error response, and the last line of a stream that failed."""

    error: str


class Said(msgspec.Struct):
    """An answer, or more of one, before it has the form of its route."""

    text: str = ""
    thought: str = ""
    calls: list[OllamaAnsweredCall] = []


def chat_answer(model: str, at: datetime, said: Said) -> OllamaChatAnswer:
    """What was said as a message."""
    message = OllamaAnsweredMessage(content=said.text, thinking=said.thought or UNSET, tool_calls=said.calls or UNSET)
    return OllamaChatAnswer(model=model, created_at=at, message=message)


def generate_answer(model: str, at: datetime, said: Said) -> OllamaGenerateAnswer:
    """What was said as text."""
    return OllamaGenerateAnswer(model=model, created_at=at, response=said.text, thinking=said.thought or UNSET)


def ollama_error(error: YoutuEdgeError) -> OllamaError:
    """The error in the form that Ollama's clients expect."""
    return OllamaError(error.message)
