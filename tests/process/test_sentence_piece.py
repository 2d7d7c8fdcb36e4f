"""Where SentencePiece's tokenizers differ over HTTP: first spaces, control tokens in text, bytes of characters."""

from __future__ import annotations

from typing import Any

import pytest

from process.openai_models import LIGHT, Model
from sentence_piece import TOKENS

MODELS = ("tinyllama_model", "chatglm_model", "gguf_llama_model")


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    """Random weights; see sentence_piece_models.py."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def forced(*pieces: str) -> dict[str, Any]:
    """Only these tokens are drawn."""
    return {"logit_bias": {str(TOKENS.index(piece)): 100 for piece in pieces}}


def complete(model: Model, prompt: str, **more: Any) -> Any:
    asked = {"model": "default", "temperature": 0, "max_tokens": 3, **more}
    return model.client.completions.create(prompt=prompt, **asked).choices[0]


def streamed(model: Model, prompt: str, **more: Any) -> str:
    asked: dict[str, Any] = {"model": "default", "temperature": 0, "max_tokens": 3, **more}
    chunks = model.client.completions.create(prompt=prompt, stream=True, **asked)
    return "".join(choice.text for chunk in chunks for choice in chunk.choices)


def test_text_survives_tokens_and_back(model: Model) -> None:
    """Control tokens spelled in it are text, whose pieces gain no spaces."""
    for text in (
        "the thing",
        "<s>strike</s> it",
        "</s>",
        "a<|end|>b",
        "Gr\u00fc\u00dfe \u4f60\u4e16 \U0001f600",
        "x  y\n",
        "",
    ):
        tokens = model.daemon.post("/tokenize", {"content": text})[1]["tokens"]
        assert model.daemon.post("/detokenize", {"tokens": tokens}) == (200, {"content": text})
        assert not {TOKENS[token] for token in tokens} & {"<s>", "</s>", "<|end|>"}
        brackets = str.maketrans("<>", "[]")
        other = model.daemon.post("/tokenize", {"content": text.translate(brackets)})[1]["tokens"]
        pieces = [TOKENS[token] for token in tokens]
        assert [p if p.startswith("<0x") else p.translate(brackets) for p in pieces] == [TOKENS[token] for token in other]


def test_a_message_that_spells_control_tokens_is_as_long_as_its_text(model: Model) -> None:
    """The prompt has the template's control tokens and no other, and no space at every piece."""
    counts = [
        model.daemon.post("/tokenize", {"messages": [{"role": "user", "content": text}]})[1]["count"]
        for text in ("<s>strike</s> it", "[s]strike[/s] it")
    ]
    assert counts[0] == counts[1]


def test_a_completion_keeps_the_space_that_it_goes_on_with(model: Model) -> None:
    """Prompt and text together are what the tokens say; a chat's answer is a separate text."""
    bias = forced("\u2581the")
    whole = complete(model, "All", logprobs=2, **bias)
    assert whole.text == streamed(model, "All", **bias) == " the the the"
    assert ("".join(whole.logprobs.tokens), whole.logprobs.text_offset) == (whole.text, [0, 4, 8])
    assert complete(model, "All", **forced("e")).text == "eee"
    answer = model.ask("All", max_tokens=3, logprobs=True, top_logprobs=1, **bias).choices[0]
    (stream,) = model.stream("All", max_tokens=3, logprobs=True, **bias)
    expected = "the the the" if model.strips_first_space else " the the the"
    assert answer.message.content == stream.content == expected
    for entries in (answer.logprobs.content, stream.logprobs):
        assert "".join(entry.token for entry in entries) == expected


def test_log_probabilities_agree_with_hot_content(model: Model) -> None:
    """Characters in parts, bytes that are none and spaces among them: the bytes of all tokens are the text."""
    bias = forced("\u2581", "<0xC3>", "<0xA9>", "<0xF0>", "e", "\u2581the", "\n" if "\n" in TOKENS else "<0x0A>")
    for seed in range(6):
        ask: dict[str, Any] = {
            "max_tokens": 24,
            "temperature": 1.0,
            "seed": seed,
            "logprobs": True,
            "top_logprobs": 4,
            **bias,
        }
        choice = model.ask("All", **ask).choices[0]
        entries = choice.logprobs.content
        data = b"".join(bytes(entry.bytes or ()) for entry in entries)
        assert data.decode(errors="replace") == choice.message.content
        (stream,) = model.stream("All", **ask)
        assert stream.content == choice.message.content
        assert [entry.bytes for entry in stream.logprobs] == [entry.bytes for entry in entries]


def test_a_stop_text_may_begin_with_the_space_of_a_word(model: Model) -> None:
    """In a completion also with the first one; nothing of it is shown or reported."""
    bias = forced("\u2581the")
    assert complete(model, "All", stop=" the", **bias).text == streamed(model, "All", stop=[" the"], **bias) == ""
    stopped = complete(model, "All", stop="e t", logprobs=0, **bias)
    assert (stopped.text, stopped.finish_reason, stopped.logprobs.tokens) == (" th", "stop", [" the"])
    answer = model.ask("All", max_tokens=3, stop=" the", logprobs=True, **bias).choices[0]
    assert answer.message.content == ("the" if model.strips_first_space else "")
    assert [entry.token for entry in answer.logprobs.content] == (["the"] if model.strips_first_space else [])


@pytest.mark.parametrize("text", [" the light", '{"the": " the"}', "<s>\u00e9\u4e16</s>", "\uff41 the"])
def test_a_grammar_says_every_byte_of_an_answer(model: Model, text: str) -> None:
    """Its first space is not dropped, no token adds one, and it may contain the text of control tokens."""
    pattern = text.replace("{", "\\{").replace("}", "\\}")
    for ask in ({"extra": {"regex": pattern}}, {"response_format": {"type": "json_schema", "json_schema": {
        "name": "one", "schema": {"const": text}}}}):  # fmt: skip
        shown = text if "extra" in ask else '"' + text.replace('"', '\\"') + '"'
        answer = model.ask("Say it.", max_tokens=60, temperature=1.0, logprobs=True, **ask).choices[0]
        assert (answer.message.content, answer.finish_reason) == (shown, "stop")
        assert b"".join(bytes(entry.bytes) for entry in answer.logprobs.content).decode() == shown
        assert model.stream("Say it.", max_tokens=60, temperature=1.0, **ask)[0].content == shown


def test_an_answer_goes_back_into_the_prompt_with_its_tokens(model: Model) -> None:
    """A conversation on the device: the second prompt is found in the cache up to the end of the first answer."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Tell the story."}],
        "max_tokens": 40,
        "temperature": 0,
    }
    first = model.daemon.post("/v1/chat/completions", body)[1]
    said = first["choices"][0]["message"]["content"]
    turns = [*body["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": "Go on."}]
    second = model.daemon.post("/v1/chat/completions", {**body, "messages": turns})[1]
    assert second["usage"]["prompt_tokens"] > first["usage"]["total_tokens"] - 40
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] >= first["usage"]["prompt_tokens"] - 2


def test_a_call_among_text_is_found_by_its_tag(model: Model) -> None:
    """A required call, streamed in pieces, with arguments that hold spaces at their beginnings."""
    tool = {**LIGHT, "function": {**LIGHT["function"], "parameters": {
        "type": "object", "properties": {"name": {"enum": [" the light", "the tool"]}}, "required": ["name"],
        "additionalProperties": False}}}  # fmt: skip
    ask: dict[str, Any] = {"tools": [tool], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 120}
    call = model.ask("Turn the light on.", **ask).choices[0].message.tool_calls[0]
    (stream,) = model.stream("Turn the light on.", **ask)
    assert stream.calls[0]["arguments"] == call.function.arguments
    assert call.function.arguments in ('{"name": " the light"}', '{"name": "the tool"}',
                                       '{"name":" the light"}', '{"name":"the tool"}')  # fmt: skip
