"""The responses of OpenAI's completions; the chunks of a streamed one have the type of a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from youtu_edge.front.answers.pieces import Answer, EndReason
from youtu_edge.front.dialects.common.head import Head
from youtu_edge.front.dialects.common.usage import TokenUsage, usage
from youtu_edge.front.dialects.completions.text_logprobs import TextLogprobs, TextLogprobWriter


class TextChoice(msgspec.Struct):
    """One of the texts, or more of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: EndReason | None


class TextCompletion(msgspec.Struct):
    """Answer of POST /v1/completions, and event of a streamed one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage | UnsetType | None = UNSET


def completion(head: Head, answers: Sequence[Answer], count: int, *, with_logprobs: bool) -> TextCompletion:
    """`count` answers to each prompt in one document."""
    choices = [
        TextChoice(
            index,
            answer.text,
            TextLogprobWriter().write(answer.logprobs, len(answer.text)) if with_logprobs else None,
            answer.reason,
        )
        for index, answer in enumerate(answers)
    ]
    total = usage((answer.finished for answer in answers), count)
    return TextCompletion(head.id, "text_completion", head.created, head.model, choices, total)
