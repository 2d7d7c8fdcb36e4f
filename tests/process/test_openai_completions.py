"""OpenAI's plain completions with its own client, against real daemons and real models."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from process.openai_models import Model

PROMPTS = ["Once upon a time", "The capital of France is"]


def create(model: Model, prompt: Any, **more: Any) -> Any:
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


def ids(model: Model, text: str) -> list[int]:
    """What the text is as a prompt."""
    return list(model.daemon.post("/tokenize", {"content": text, "add_special": True})[1]["tokens"])


def test_token_ids_are_continued_like_their_text(model: Model) -> None:
    """One prompt, several, and both kinds in one list; whole and streamed, with n answers to each."""
    texts = [choice.text for choice in create(model, PROMPTS).choices]
    tokens = [ids(model, prompt) for prompt in PROMPTS]
    one = create(model, tokens[0])
    assert [choice.text for choice in one.choices] == texts[:1]
    assert one.usage.prompt_tokens == len(tokens[0])
    for prompt in (tokens, [PROMPTS[0], tokens[1]]):
        both = create(model, prompt, n=2)
        assert [(choice.index, choice.text) for choice in both.choices] == list(enumerate([texts[0]] * 2 + [texts[1]] * 2))
        assert both.usage.prompt_tokens == len(tokens[0]) + len(tokens[1])
        streamed = [""] * 4
        for chunk in create(model, prompt, n=2, stream=True):
            streamed[chunk.choices[0].index] += chunk.choices[0].text
        assert streamed == [choice.text for choice in both.choices]


def test_control_tokens_are_meant_where_ids_are_given(smollm2_model: Model) -> None:
    """A chat's prompt as ids is answered as the chat; its text as a prompt is only text."""
    messages = [{"role": "user", "content": "Name a colour."}]
    daemon = smollm2_model.daemon
    tokens = daemon.post("/tokenize", {"messages": messages})[1]["tokens"]
    chat = smollm2_model.ask(messages, max_tokens=8)
    assert create(smollm2_model, tokens).choices[0].text == chat.choices[0].message.content
    prompt = daemon.post("/apply-template", {"messages": messages})[1]["prompt"]
    assert create(smollm2_model, prompt).usage.prompt_tokens > len(tokens)


def test_an_unknown_id_is_told_with_its_place(smollm2_model: Model) -> None:
    with pytest.raises(openai.BadRequestError, match=r"prompt\[1\]\[1\]: 49152 is not one of the 49152 tokens"):
        create(smollm2_model, [[1], [2, 49152]])
    assert create(smollm2_model, [[1], [2, 49151]], max_tokens=1).usage.prompt_tokens == 3


def test_parts_of_characters_have_names_of_their_own(smollm2_model: Model) -> None:
    """As OpenAI writes them, so that no entry is lost; offsets stay within the text, streamed and not."""
    emoji = ids(smollm2_model, "\N{ROCKET}\N{FIRE}")
    assert len(emoji) > 4
    ask: dict[str, Any] = {"logprobs": 5, "logit_bias": {str(token): 100 for token in emoji}}
    choice = create(smollm2_model, "\N{ROCKET}" * 8, max_tokens=24, **ask).choices[0]
    reported = choice.logprobs
    parts = [text for text in reported.tokens if text.startswith("bytes:\\x")]
    assert parts
    for top, text, value in zip(reported.top_logprobs, reported.tokens, reported.token_logprobs, strict=True):
        assert top[text] == value
        assert len(top) in (5, 6)  # the drawn token may be one more
    assert reported.text_offset == sorted(reported.text_offset)
    assert reported.text_offset[-1] <= len(choice.text)
    chunks = [chunk.choices[0] for chunk in create(smollm2_model, "\N{ROCKET}" * 8, max_tokens=24, stream=True, **ask)]
    pieces = [chunk.logprobs for chunk in chunks if chunk.logprobs]
    assert [text for piece in pieces for text in piece.tokens] == reported.tokens
    assert [offset for piece in pieces for offset in piece.text_offset] == reported.text_offset


@pytest.mark.parametrize("stop", ["a", '"', "\n"])
def test_a_stop_text_does_not_cut_what_a_regex_binds(smollm2_model: Model, stop: str) -> None:
    bound = create(smollm2_model, "x", max_tokens=40, stop=[stop], extra_body={"regex": '"[ab]{3}\n"'}).choices[0]
    assert (len(bound.text), bound.finish_reason) == (6, "stop")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 50}, "logprobs"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"prompt": ""}}, "prompt"),
        ({"extra_body": {"prompt": []}}, "prompt"),
        ({"extra_body": {"prompt": ["x", ""]}}, "prompt[1]"),
        ({"extra_body": {"prompt": [[1], []]}}, "prompt[1]"),
        ({"extra_body": {"prompt": [1, "x"]}}, "prompt[1]"),
        ({"extra_body": {"prompt": ["x", [1], 2]}}, "prompt[2]"),
        ({"extra_body": {"prompt": [1, -1]}}, "prompt[1]"),
        ({"extra_body": {"prompt": [1, 1.5]}}, "prompt[1]"),
        ({"extra_body": {"prompt": [1, True]}}, "prompt[1]"),
        ({"extra_body": {"prompt": [[1, 2], [3, [4]]]}}, "prompt[1][1]"),
        ({"extra_body": {"prompt": [1, 2, 10**6]}}, "prompt[2]"),
        ({"extra_body": {"prompt": ["x", [5, 10**6]], "stream": True}}, "prompt[1][1]"),
        ({"extra_body": {"prompt": ["x"] * 17}}, "prompt"),
        ({"extra_body": {"prompt": [[1]] * 17}}, "prompt"),
        ({"extra_body": {"prompt": [[1], [1] * 100_000]}}, "prompt[1]"),
        ({"extra_body": {"prompt": ["x", "word " * 20_000]}}, "prompt[1]"),
        ({"extra_body": {"prompt": ["x", "y"]}, "extra_headers": {"Idempotency-Key": "several"}}, "prompt"),
        ({"n": 2, "extra_headers": {"Idempotency-Key": "several"}}, "n"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_offered_is_refused_by_name(smollm2_model: Model, more: dict[str, Any], param: str) -> None:
    """Nothing is accepted and ignored."""
    with pytest.raises(openai.BadRequestError) as refused:
        create(smollm2_model, "x", **more)
    assert refused.value.param == param
