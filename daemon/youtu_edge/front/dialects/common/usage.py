"""Token counts as OpenAI's chats and completions report them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from youtu_edge.protocol.from_engine import Finished


class PromptTokensDetails(msgspec.Struct):
    """Tokens of the prompt that the prefix cache supplied."""

    cached_tokens: int


class TokenUsage(msgspec.Struct):
    """Tokens of all answers; a prompt counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


def usage(finished: Iterable[Finished], answers_per_prompt: int) -> TokenUsage:
    """Tokens of whole answers, also when several engines worked on them.

    The answers are ordered by prompt; those to the same prompt count it once, and what the first of them found cached.
    """
    prompt = completion = cached = 0
    for index, end in enumerate(finished):
        completion += end.completion_tokens
        if index % answers_per_prompt == 0:
            prompt += end.prompt_tokens
            cached += end.cached_tokens
    return TokenUsage(prompt, completion, prompt + completion, PromptTokensDetails(cached))
