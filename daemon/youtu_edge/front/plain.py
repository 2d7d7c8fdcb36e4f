"""The plain dialect for sensor applications: one prompt in, one text out. Knows no HTTP and no engine."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.generation import SamplingFields, Temperature
from youtu_edge.front.openai import Stop, Tokens, usage
from youtu_edge.protocol import ChatMessage, Finished


class PlainBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /chat and POST /chat_stream."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    max_new_tokens: Tokens | None = None
    temperature: Temperature | None = None
    stop: Stop | None = None


def sampling_fields(body: PlainBody) -> SamplingFields:
    """The little that this dialect says about sampling."""
    return SamplingFields(temperature=body.temperature)


def chat_messages(body: PlainBody) -> list[ChatMessage]:
    """The conversation as the engine takes it."""
    system = [ChatMessage("system", body.system)] if body.system else []
    return [*system, ChatMessage("user", body.prompt)]


def answer(text: str, finished: Finished) -> dict[str, Any]:
    """The answer in one document."""
    return {"response": text, "finish_reason": finished.reason, "usage": usage(finished)}


class PlainWriter:
    """The documents of a streamed answer: any number of `text`, one `end`."""

    last: str | None = None

    def start(self) -> list[dict[str, Any]]:
        """Nothing precedes the text."""
        return []

    def text(self, text: str) -> list[dict[str, Any]]:
        """More of the answer."""
        return [{"text": text}]

    def end(self, finished: Finished) -> list[dict[str, Any]]:
        """Tells that the answer is complete."""
        return [{"done": True, "finish_reason": finished.reason, "usage": usage(finished)}]
