"""The body of OpenAI's completions, and the requests for the engine that follow from it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.dialects.common.fields import GenerationFields, check_fields, fill_fields
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.request_errors import ContextLengthError, InvalidRequestError

FIELDS = FieldTable(
    {
        "best_of": Refused(1),
        "echo": Refused(False),
        "stream_options.include_obfuscation": Hint(False),
    }
)
"""OpenAI's parameters that are not computed here."""

MAX_PROMPTS = 16

PromptToken = Annotated[int, Meta(ge=0, le=2**31 - 1)]
PromptTokens = Annotated[list[PromptToken], Meta(min_length=1)]


class CompletionBody(GenerationFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/completions. `prompt` is a text, the token ids of one, or a list of up to 16 such."""

    prompt: str | Annotated[list[PromptToken | str | PromptTokens], Meta(min_length=1)]
    suffix: str | None = None
    """The text that follows the answer, for models that were trained to fill in; for prompts that are texts."""
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


def generation_requests(intake: Intake, body: CompletionBody) -> dict[str, GenerationRequest]:
    """A request for one answer to each prompt, by the name of the prompt's field.

    Raises InvalidRequestError, ContextLengthError and ModelNotFoundError naming the field.
    """
    check_fields(body)
    intake.check_name(body.model)
    submit = intake.submit("cmpl-", body, intake.max_new_tokens("max_tokens", body.max_tokens), body.stop)
    fill_fields(submit, body, body.logprobs)
    submit.suffix = body.suffix or ""
    return {
        name: msgspec.structs.replace(submit, prompt=prompt)
        if isinstance(prompt, str)
        else msgspec.structs.replace(submit, prompt_tokens=prompt)
        for name, prompt in _prompts(body, intake.model.context_length).items()
    }


def _prompts(body: CompletionBody, context_length: int) -> dict[str, str | list[int]]:
    """The prompts, texts or token ids, by the names of their fields. Raises InvalidRequestError and ContextLengthError."""
    found = _listed(body.prompt)
    if len(found) > MAX_PROMPTS:
        raise InvalidRequestError(f"prompt: {len(found)} prompts; at most {MAX_PROMPTS} are allowed", param="prompt")
    for name, prompt in found.items():
        if not prompt and not body.suffix:
            raise InvalidRequestError(f"{name}: the text is empty; only with suffix may it be", param=name)
        if isinstance(prompt, list) and body.suffix:
            raise InvalidRequestError(f"suffix: cannot follow token ids; write {name} as a text", param="suffix")
        if isinstance(prompt, list) and len(prompt) > context_length:
            problem = f"{len(prompt)} tokens do not fit into the context of {context_length}"
            raise ContextLengthError(f"{name}: {problem}", param=name)
    return found


def _listed(given: str | list[int | str | list[int]]) -> dict[str, str | list[int]]:
    if isinstance(given, str):
        return {"prompt": given}
    tokens = [item for item in given if isinstance(item, int)]
    if len(tokens) == len(given):
        return {"prompt": tokens}
    if tokens:  # the first item whose kind differs from that of item 0
        index = next(i for i, item in enumerate(given) if isinstance(item, int) != isinstance(given[0], int))
        name = f"prompt[{index}]"
        raise InvalidRequestError(f"{name}: a list is either one prompt of token ids or several prompts", param=name)
    return {f"prompt[{index}]": item for index, item in enumerate(given) if not isinstance(item, int)}
