"""Log-probabilities of chats and responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from youtu_edge.protocol.from_engine import Alternative, TokenLogprob


class TopLogprob(TypedDict):
    """A token that could have been drawn; `bytes` is null for control tokens."""

    token: str
    logprob: float
    bytes: list[int] | None


class ContentLogprob(TypedDict):
    """A token that was drawn, and the most likely ones at its place."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(TypedDict):
    """Log-probabilities of the content."""

    content: list[ContentLogprob]
    refusal: None


def logprobs(entries: Sequence[TokenLogprob]) -> ChoiceLogprobs:
    """Log-probabilities of the answer's tokens."""
    return {
        "content": [
            {**_alternative(entry.drawn), "top_logprobs": [_alternative(other) for other in entry.top]} for entry in entries
        ],
        "refusal": None,
    }


def _alternative(token: Alternative) -> TopLogprob:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.utf8) or None}
