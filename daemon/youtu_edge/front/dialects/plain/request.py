"""The plain dialect for sensor applications: one prompt in, one text out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from youtu_edge.front.admission.sampling import SamplingFields
from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Answer, Ended, Piece, Text, Thought
from youtu_edge.front.conversations.turn import ConversationTurn
from youtu_edge.front.dialects.common.fields import Stop, Tokens
from youtu_edge.front.dialects.common.usage import usage
from youtu_edge.front.http.error_body import ErrorBody
from youtu_edge.protocol.from_engine import Finished
from youtu_edge.protocol.prompt import ChatMessage

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


class PlainPromptDetails(msgspec.Struct):
    """Which part of the prompt the prefix cache supplied."""

    cached_tokens: int


class PlainUsage(msgspec.Struct):
    """Tokens of the whole request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PlainPromptDetails


class PlainAnswer(msgspec.Struct, kw_only=True):
    """Answer of POST /chat. The last three are there for a turn of a session."""

    request_id: str
    response: str
    thinking: str | UnsetType = UNSET
    """What the model thought, if it did."""
    finish_reason: str
    usage: PlainUsage
    session_id: str | UnsetType = UNSET
    dropped_turns: int | UnsetType = UNSET
    """Turns at the beginning of the session that the model no longer sees."""
    stored: bool | UnsetType = UNSET
    """False: the device's disk failed, and the turn is not in its session."""


class PlainEvent(msgspec.Struct, kw_only=True):
    """An event of POST /chat_stream: first `request_id`, then `thinking` and `text` as they come, at last `done`."""

    request_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    done: bool | UnsetType = UNSET
    finish_reason: str | UnsetType = UNSET
    usage: PlainUsage | UnsetType = UNSET
    dropped_turns: int | UnsetType = UNSET
    stored: bool | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    """Instead of `done`, when the answer cannot be finished."""


def answer(generation: GenerationStream, whole: Answer) -> dict[str, Any]:
    """The answer in one document."""
    document = PlainAnswer(
        request_id=generation.id,
        response=whole.text,
        thinking=whole.thought or UNSET,
        finish_reason=whole.reason,
        usage=_usage(whole.finished),
    )
    if isinstance(generation, ConversationTurn):
        document.session_id = generation.session_id
        document.dropped_turns, document.stored = generation.dropped_turns, bool(generation.is_stored)
    return _plain(document)


class PlainWriter:
    """The documents of a streamed answer: its names, any number of thoughts and texts, then one that says done."""

    def __init__(self, generation: GenerationStream) -> None:
        self._generation = generation

    def begin(self) -> Documents:
        """What the client needs to cancel, interrupt or continue."""
        names = PlainEvent(request_id=self._generation.id)
        if isinstance(self._generation, ConversationTurn):
            names.session_id = self._generation.session_id
        return [_plain(names)]

    def write(self, index: int, piece: Piece) -> Documents:
        """More of the answer, or its end."""
        if isinstance(piece, Text):
            return [_plain(PlainEvent(text=piece.text))]
        if isinstance(piece, Thought):
            return [_plain(PlainEvent(thinking=piece.text))]
        if isinstance(piece, Ended):
            end = PlainEvent(done=True, finish_reason=piece.reason, usage=_usage(piece.finished))
            if isinstance(self._generation, ConversationTurn):
                end.dropped_turns, end.stored = self._generation.dropped_turns, bool(self._generation.is_stored)
            return [_plain(end)]
        return []

    def end(self) -> Documents:
        """Nothing follows."""
        return []


def _usage(finished: Finished) -> PlainUsage:
    return msgspec.convert(usage(finished), PlainUsage)


def _plain(document: msgspec.Struct) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(document)
    return values
