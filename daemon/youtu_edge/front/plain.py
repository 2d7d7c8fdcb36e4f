"""The plain dialect for sensor applications: one prompt in, one text out. Knows no HTTP and no engine."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.config import Punctuation
from youtu_edge.front.answer_stream import Documents
from youtu_edge.front.generation import SamplingFields, Temperature
from youtu_edge.front.openai import Stop, Tokens
from youtu_edge.front.openai_documents import usage
from youtu_edge.front.pieces import Answer, Ended, Piece, Text
from youtu_edge.protocol import ChatMessage


class PlainBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /chat and POST /chat_stream."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    max_new_tokens: Tokens | None = None
    temperature: Temperature | None = None
    stop: Stop | None = None
    punctuation: Punctuation | None = None


def sampling_fields(body: PlainBody) -> SamplingFields:
    """The little that this dialect says about sampling."""
    return SamplingFields(temperature=body.temperature, punctuation=body.punctuation)


def chat_messages(body: PlainBody) -> list[ChatMessage]:
    """The conversation as the engine takes it."""
    system = [ChatMessage("system", body.system)] if body.system else []
    return [*system, ChatMessage("user", body.prompt)]


def answer(whole: Answer) -> dict[str, Any]:
    """The answer in one document."""
    return {"response": whole.text, "finish_reason": whole.reason, "usage": usage(whole.finished)}


class PlainWriter:
    """The documents of a streamed answer: any number of texts, then one that says done. Thoughts are left out."""

    def begin(self) -> Documents:
        """Nothing precedes the text."""
        return []

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the answer, or its end."""
        if isinstance(piece, Text):
            return [{"text": piece.text}]
        if isinstance(piece, Ended):
            return [{"done": True, "finish_reason": piece.reason, "usage": usage(piece.finished)}]
        return []

    def end(self) -> Documents:
        """Nothing follows."""
        return []
