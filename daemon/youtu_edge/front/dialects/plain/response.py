"""The responses of the plain dialect: one document, or a stream of events."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from youtu_edge.front.answers.generation_stream import GenerationStream
from youtu_edge.front.answers.pieces import Answer
from youtu_edge.front.conversations.turn import TurnStream
from youtu_edge.front.http.error_body import ErrorBody
from youtu_edge.protocol.from_engine import Finished


class PlainPromptDetails(msgspec.Struct):
    """Tokens of the prompt that the prefix cache supplied."""

    cached_tokens: int


class PlainUsage(msgspec.Struct):
    """Tokens of the whole request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PlainPromptDetails


class PlainAnswer(msgspec.Struct, kw_only=True):
    """Answer of POST /chat. The fields from `session_id` on are only there for a turn of a session."""

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
    """False: the device's disk failed, and the turn is missing from its session."""
    turn: int | UnsetType = UNSET
    """Number of the turn, to follow it, make it again or delete it."""
    seconds: float | UnsetType = UNSET
    """From the question to the end of the answer, as the session keeps it."""
    tokens_per_second: float | UnsetType = UNSET


class PlainEvent(msgspec.Struct, kw_only=True):
    """An event of POST /chat_stream: first `request_id`, then any number of `thinking` and `text`, at last `done`."""

    request_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    done: bool | UnsetType = UNSET
    finish_reason: str | UnsetType = UNSET
    usage: PlainUsage | UnsetType = UNSET
    dropped_turns: int | UnsetType = UNSET
    stored: bool | UnsetType = UNSET
    turn: int | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    tokens_per_second: float | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    """Instead of `done`, when the answer cannot be finished."""


def whole_answer(generation: GenerationStream, answer: Answer) -> PlainAnswer:
    """The answer in one document."""
    document = PlainAnswer(
        request_id=generation.id,
        response=answer.text,
        thinking=answer.thought or UNSET,
        finish_reason=answer.reason,
        usage=usage(answer.finished),
    )
    if isinstance(generation, TurnStream):
        document.session_id = generation.session_id
        tell_turn(document, generation)
    return document


def tell_turn(document: PlainAnswer | PlainEvent, turn: TurnStream) -> None:
    """What a client learns about a turn at its end."""
    document.dropped_turns, document.stored = turn.dropped_turns, turn.stored is not None
    if turn.stored is not None:
        document.turn = turn.stored.number
        if turn.stored.seconds:
            document.seconds = round(turn.stored.seconds, 3)
        if turn.stored.tokens_per_second:
            document.tokens_per_second = round(turn.stored.tokens_per_second, 3)


def usage(finished: Finished) -> PlainUsage:
    """Token counts of a finished answer."""
    prompt, completion = finished.prompt_tokens, finished.completion_tokens
    return PlainUsage(prompt, completion, prompt + completion, PlainPromptDetails(finished.cached_tokens))
