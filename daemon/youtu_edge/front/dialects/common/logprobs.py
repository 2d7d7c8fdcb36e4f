"""Log-probabilities of chats and responses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from youtu_edge.protocol.from_engine import Alternative, TokenLogprob


class TopLogprob(msgspec.Struct):
    """A token that could have been drawn; `bytes` is null for control tokens."""

    token: str
    logprob: float
    bytes: list[int] | None


class ContentLogprob(msgspec.Struct):
    """A token that was drawn, and the most likely ones in its place."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(msgspec.Struct):
    """Log-probabilities of the content."""

    content: list[ContentLogprob]
    refusal: None


def logprobs(entries: Sequence[TokenLogprob]) -> list[ContentLogprob]:
    """Log-probabilities of the answer's tokens."""
    return [
        ContentLogprob(
            entry.drawn.text,
            entry.drawn.logprob,
            _bytes(entry.drawn),
            [TopLogprob(other.text, other.logprob, _bytes(other)) for other in entry.top],
        )
        for entry in entries
    ]


def choice_logprobs(entries: Sequence[TokenLogprob]) -> ChoiceLogprobs:
    """The same in the shape of a chat's choice."""
    return ChoiceLogprobs(logprobs(entries), None)


def _bytes(token: Alternative) -> list[int] | None:
    return list(token.utf8) or None
