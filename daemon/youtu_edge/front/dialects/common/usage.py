"""How many tokens an answer took."""

from __future__ import annotations

from typing import TypedDict

from youtu_edge.protocol.from_engine import Finished


class PromptTokensDetails(TypedDict):
    """What the prefix cache supplied."""

    cached_tokens: int


class TokenUsage(TypedDict):
    """Tokens of all answers; a prompt counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


def usage(*finished: Finished) -> TokenUsage:
    """Tokens of whole answers, also when several engines worked on them. The prompt is the same for all and counts once."""
    prompt, completion = finished[0].prompt_tokens, sum(end.completion_tokens for end in finished)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": finished[0].cached_tokens},
    }
