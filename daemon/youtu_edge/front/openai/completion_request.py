"""OpenAI's dialect of plain completions: the body that is accepted and the documents that are answered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Answer, Ended, EndReason, Piece, Text
from youtu_edge.front.openai.builder import Head, usage
from youtu_edge.front.openai.documents import TextChoice, TextCompletion, TextLogprobs, TokenUsage
from youtu_edge.front.openai.fields import GenerationFields, check_fields, fill_fields
from youtu_edge.protocol import Finished, Submit, TokenLogprob

NOT_OFFERED: dict[str, tuple[Any, ...]] = {"best_of": (1,), "echo": (False,), "suffix": ("",)}
"""OpenAI parameters that this server does not offer, with the values that ask for nothing."""

Prompt = Annotated[str, Meta(min_length=1)]


class CompletionBody(GenerationFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/completions."""

    prompt: Prompt | Annotated[list[Prompt], Meta(min_length=1, max_length=16)]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


def check(body: CompletionBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    check_fields(body)


def submits(submit: Submit, body: CompletionBody) -> list[Submit]:
    """One request for every prompt."""
    fill_fields(submit, body, body.logprobs)
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    return [msgspec.structs.replace(submit, prompt=prompt) for prompt in prompts]


def completion(head: Head, answers: Sequence[Answer], count: int, *, with_logprobs: bool) -> TextCompletion:
    """`count` answers to each prompt in one document."""
    choices: list[TextChoice] = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": logprobs(answer.logprobs, 0) if with_logprobs else None,
            "finish_reason": answer.reason,
        }
        for index, answer in enumerate(answers)
    ]
    document = _document(head, choices)
    document["usage"] = _usage([answer.finished for answer in answers], count)
    return document


class CompletionWriter:
    """The chunks of streamed completions: `total` answers, `count` to each prompt."""

    def __init__(self, head: Head, total: int, count: int, *, include_usage: bool, with_logprobs: bool) -> None:
        self._head = head
        self._count = count
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        self._finished: dict[int, Finished] = {}
        self._lengths = [0] * total

    def begin(self) -> Documents:
        """Nothing precedes the text."""
        return []

    def write(self, index: int, piece: Piece) -> Documents:
        """More text of an answer, or its end."""
        if isinstance(piece, Ended):
            self._finished[index] = piece.finished
            return [self._chunk(index, "", None, piece.reason)]
        if not isinstance(piece, Text):
            return []
        reported = None
        if self._with_logprobs and piece.logprobs:
            reported = logprobs(piece.logprobs, self._lengths[index])
        self._lengths[index] += len(piece.text)
        return [self._chunk(index, piece.text, reported, None)]

    def end(self) -> Documents:
        """The usage in a chunk without choices if it was asked for, then the mark of a complete answer."""
        if not self._include_usage:
            return ["[DONE]"]
        chunk = _document(self._head, [])
        chunk["usage"] = _usage([self._finished[index] for index in range(len(self._lengths))], self._count)
        return [chunk, "[DONE]"]

    def _chunk(self, index: int, text: str, reported: TextLogprobs | None, reason: EndReason | None) -> TextCompletion:
        chunk = _document(self._head, [{"index": index, "text": text, "logprobs": reported, "finish_reason": reason}])
        if self._include_usage:
            chunk["usage"] = None
        return chunk


def logprobs(entries: Sequence[TokenLogprob], offset: int) -> TextLogprobs:
    """Log-probabilities in the shape of completions; `offset` is where the first token begins in the text."""
    lengths = [len(entry.drawn.text) for entry in entries]
    return {
        "tokens": [entry.drawn.text for entry in entries],
        "token_logprobs": [entry.drawn.logprob for entry in entries],
        "top_logprobs": [
            {entry.drawn.text: entry.drawn.logprob} | {other.text: other.logprob for other in entry.top}
            for entry in entries
        ],
        "text_offset": list(itertools.accumulate(lengths[:-1], initial=offset)) if entries else [],
    }


def _document(head: Head, choices: list[TextChoice]) -> TextCompletion:
    return {
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }


def _usage(finished: Sequence[Finished], count: int) -> TokenUsage:
    """A prompt counts once for all of its answers."""
    parts = [usage(*finished[begin : begin + count]) for begin in range(0, len(finished), count)]
    return {
        "prompt_tokens": sum(part["prompt_tokens"] for part in parts),
        "completion_tokens": sum(part["completion_tokens"] for part in parts),
        "total_tokens": sum(part["total_tokens"] for part in parts),
        "prompt_tokens_details": {"cached_tokens": sum(part["prompt_tokens_details"]["cached_tokens"] for part in parts)},
    }
