"""OpenAI's dialect of plain completions: the body that is accepted and the documents that are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.front.answers.answer_stream import Documents
from youtu_edge.front.answers.pieces import Answer, Ended, EndReason, Piece, Text
from youtu_edge.front.dialects.common.fields import GenerationFields, check_fields, fill_fields
from youtu_edge.front.dialects.common.usage import TokenUsage, usage
from youtu_edge.front.dialects.openai.builder import Head
from youtu_edge.front.dialects.openai.documents import TextChoice, TextCompletion, TextLogprobs
from youtu_edge.front.dialects.openai.text_logprobs import TextLogprobWriter
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.from_engine import Finished
from youtu_edge.request_errors import ContextLengthError, InvalidRequestError

NOT_OFFERED: dict[str, tuple[Any, ...]] = {"best_of": (1,), "echo": (False,), "suffix": ("",)}
"""OpenAI parameters that this server does not offer, with the values that ask for nothing."""

MAX_PROMPTS = 16

PromptText = Annotated[str, Meta(min_length=1)]
PromptToken = Annotated[int, Meta(ge=0, le=2**31 - 1)]
PromptTokens = Annotated[list[PromptToken], Meta(min_length=1)]


class CompletionBody(GenerationFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/completions. `prompt` is a text, the token ids of one, or a list of up to 16 such."""

    prompt: PromptText | Annotated[list[PromptToken | PromptText | PromptTokens], Meta(min_length=1)]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


def check(body: CompletionBody) -> None:
    """What types cannot say. Raises InvalidRequestError naming the field."""
    check_fields(body)


def prompts(body: CompletionBody, context_length: int) -> dict[str, str | list[int]]:
    """The prompts, texts or token ids, by the names of their fields.

    Raises InvalidRequestError and ContextLengthError naming the field.
    """
    found = _prompts(body.prompt)
    if len(found) > MAX_PROMPTS:
        raise InvalidRequestError(f"prompt: {len(found)} prompts; at most {MAX_PROMPTS} are taken at once", param="prompt")
    for name, prompt in found.items():
        if isinstance(prompt, list) and len(prompt) > context_length:
            problem = f"{len(prompt)} tokens do not fit into the context of {context_length}"
            raise ContextLengthError(f"{name}: {problem}", param=name)
    return found


def _prompts(given: str | list[int | str | list[int]]) -> dict[str, str | list[int]]:
    if isinstance(given, str):
        return {"prompt": given}
    tokens = [item for item in given if isinstance(item, int)]
    if len(tokens) == len(given):
        return {"prompt": tokens}
    if tokens:  # the first that is of another kind than the first of all
        index = next(i for i, item in enumerate(given) if isinstance(item, int) != isinstance(given[0], int))
        name = f"prompt[{index}]"
        raise InvalidRequestError(f"{name}: a list is either one prompt of token ids or several prompts", param=name)
    return {f"prompt[{index}]": item for index, item in enumerate(given) if not isinstance(item, int)}


def submits(
    submit: GenerationRequest, body: CompletionBody, asked: Mapping[str, str | list[int]]
) -> list[GenerationRequest]:
    """One request for every prompt."""
    fill_fields(submit, body, body.logprobs)
    return [
        msgspec.structs.replace(submit, prompt=prompt)
        if isinstance(prompt, str)
        else msgspec.structs.replace(submit, prompt_tokens=prompt)
        for prompt in asked.values()
    ]


def completion(head: Head, answers: Sequence[Answer], count: int, *, with_logprobs: bool) -> TextCompletion:
    """`count` answers to each prompt in one document."""
    choices: list[TextChoice] = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": TextLogprobWriter().write(answer.logprobs, len(answer.text)) if with_logprobs else None,
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
        self._logprobs = [TextLogprobWriter() for _ in range(total)]

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
        self._lengths[index] += len(piece.text)
        reported = None
        if self._with_logprobs and piece.logprobs:
            reported = self._logprobs[index].write(piece.logprobs, self._lengths[index])
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
