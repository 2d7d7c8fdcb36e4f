"""The plain dialect for sensor applications: one prompt in, one text out. Knows no HTTP and no engine."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from youtu_edge.front.answer_stream import Documents
from youtu_edge.front.conversation_turn import ConversationTurn
from youtu_edge.front.generation import SamplingFields
from youtu_edge.front.generation_stream import GenerationStream
from youtu_edge.front.openai_documents import usage
from youtu_edge.front.openai_fields import Stop, Tokens
from youtu_edge.front.pieces import Answer, Ended, Piece, Text, Thought
from youtu_edge.protocol import ChatMessage

SessionId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


class PlainBody(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /chat and POST /chat_stream."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    max_new_tokens: Tokens | None = None
    stop: Stop | None = None
    session_id: SessionId | None = None
    """The conversation that this is a turn of; it begins with its first turn."""
    thinking: bool | None = None
    """Whether the model may think before it answers; null: as its chat template has it."""


def chat_messages(body: PlainBody) -> list[ChatMessage]:
    """The conversation as the engine takes it, when there is no session."""
    system = [ChatMessage("system", body.system)] if body.system else []
    return [*system, ChatMessage("user", body.prompt)]


def answer(generation: GenerationStream, whole: Answer) -> dict[str, Any]:
    """The answer in one document."""
    thinking = {"thinking": whole.thought} if whole.thought else {}
    return {
        **_names(generation),
        "response": whole.text,
        **thinking,
        "finish_reason": whole.reason,
        "usage": usage(whole.finished),
        **_turn(generation),
    }


class PlainWriter:
    """The documents of a streamed answer: its names, any number of thoughts and texts, then one that says done."""

    def __init__(self, generation: GenerationStream) -> None:
        self._generation = generation

    def begin(self) -> Documents:
        """What the client needs to cancel, interrupt or continue."""
        return [_names(self._generation)]

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the answer, or its end."""
        if isinstance(piece, Text):
            return [{"text": piece.text}]
        if isinstance(piece, Thought):
            return [{"thinking": piece.text}]
        if isinstance(piece, Ended):
            end = {"done": True, "finish_reason": piece.reason, "usage": usage(piece.finished)}
            return [end | _turn(self._generation)]
        return []

    def end(self) -> Documents:
        """Nothing follows."""
        return []


def _names(generation: GenerationStream) -> dict[str, Any]:
    session = {"session_id": generation.session_id} if isinstance(generation, ConversationTurn) else {}
    return {"request_id": generation.id, **session}


def _turn(generation: GenerationStream) -> dict[str, Any]:
    if not isinstance(generation, ConversationTurn):
        return {}
    return {"dropped_turns": generation.dropped_turns, "stored": generation.is_stored}
