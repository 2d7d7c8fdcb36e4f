"""OpenAI's plain completions with its own client, against real daemons and real models."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from process.openai_models import Model

PROMPTS = ["Once upon a time", "The capital of France is"]


def create(model: Model, prompt: str | list[str], **more: Any) -> Any:
    request = {"model": "default", "temperature": 0, "max_tokens": 8, **more}
    return model.client.completions.create(prompt=prompt, **request)


def test_texts_are_continued_whole_and_streamed(model: Model) -> None:
    """One prompt or several, n answers to each; the index counts prompts first."""
    single = [create(model, prompt).choices[0].text for prompt in PROMPTS]
    both = create(model, PROMPTS, n=2)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in both.choices] == [single[0], single[0], single[1], single[1]]
    assert both.usage.completion_tokens == 32
    streamed = [""] * 4
    chunks = list(create(model, PROMPTS, n=2, stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert streamed == [choice.text for choice in both.choices]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == both.usage.prompt_tokens


def test_tags_are_text(nano_model: Model) -> None:
    """A thinking model's tags are not taken out of a plain completion."""
    bias = {str(nano_model.token_of_tag("<think>")): 100}
    assert create(nano_model, "Hm", max_tokens=2, logit_bias=bias).choices[0].text == "<think><think>"


def test_log_probabilities_have_the_shape_of_completions(model: Model) -> None:
    """Tokens, their logarithms, alternatives and offsets, streamed and not."""
    choice = create(model, PROMPTS[0], logprobs=2).choices[0]
    reported = choice.logprobs
    assert "".join(reported.tokens) == choice.text
    assert all(choice.text.startswith(text, at) for text, at in zip(reported.tokens, reported.text_offset, strict=True))
    for top, text, value in zip(reported.top_logprobs, reported.tokens, reported.token_logprobs, strict=True):
        assert (len(top), top[text]) == (2, value)
    tokens: list[str] = []
    offsets: list[int] = []
    for chunk in create(model, PROMPTS[0], logprobs=2, stream=True):
        if chunk.choices and chunk.choices[0].logprobs:
            tokens += chunk.choices[0].logprobs.tokens
            offsets += chunk.choices[0].logprobs.text_offset
    assert (tokens, offsets) == (reported.tokens, reported.text_offset)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 50}, "logprobs"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"prompt": [1, 2]}}, "prompt[0]"),
        ({"extra_body": {"prompt": ""}}, "prompt"),
        ({"extra_body": {"prompt": []}}, "prompt"),
    ],
    ids=str,
)
def test_what_is_not_offered_is_refused_by_name(smollm2_model: Model, more: dict[str, Any], param: str) -> None:
    """Nothing is accepted and ignored."""
    with pytest.raises(openai.BadRequestError) as refused:
        create(smollm2_model, "x", **more)
    assert refused.value.param == param
