"""OpenAI's chat with its own client, against real daemons and real models, without tools and grammars."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from process.openai_models import Model

STORY = "Tell me a story about a lighthouse."


def test_an_answer_and_its_stream_are_the_same(model: Model) -> None:
    """Text, thought, finish reason and usage."""
    whole = model.ask(STORY, max_completion_tokens=20, max_tokens=openai.omit)
    (streamed,) = model.stream(STORY, max_tokens=20)
    choice = whole.choices[0]
    assert (streamed.content, streamed.reason) == (choice.message.content, choice.finish_reason)
    assert streamed.thought == (getattr(choice.message, "reasoning_content", None) or "")
    assert bool(streamed.thought) == model.thinks
    assert whole.usage.completion_tokens <= 20
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_the_usage_of_a_stream_comes_in_a_last_chunk_without_choices(model: Model) -> None:
    """Only where it is asked for; the other chunks say null."""
    request: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    create = model.client.chat.completions.create
    chunks = list(create(**request, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 4
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert all(chunk.choices for chunk in create(**request, stream=True))


def test_the_raw_stream_can_be_read(model: Model) -> None:
    """`with_streaming_response` gives the events as they are on the wire."""
    with model.client.chat.completions.with_streaming_response.create(
        model="default", messages=[{"role": "user", "content": "Hi"}], max_tokens=3, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
        assert response.headers["x-request-id"].startswith("chatcmpl-")
    assert all(line.startswith("data: {") for line in lines[:-1])
    assert lines[-1] == "data: [DONE]"


def test_a_seed_repeats_an_answer_and_n_answers_have_seeds_of_their_own(model: Model) -> None:
    """Streamed and not, in one request and in several: answer i of n is that of the seed + i alone, the last seed too."""
    hot: dict[str, Any] = {"temperature": 1.5, "max_tokens": 12}
    three = [choice.message for choice in model.ask(STORY, seed=7, n=3, **hot).choices]
    assert [streamed.content for streamed in model.stream(STORY, seed=7, n=3, **hot)] == [m.content for m in three]
    assert [model.ask(STORY, seed=7 + i, **hot).choices[0].message for i in range(3)] == three
    around_zero = [choice.message for choice in model.ask(STORY, seed=-1, n=2, **hot).choices]
    assert [model.ask(STORY, seed=seed, **hot).choices[0].message for seed in (-1, 0)] == around_zero
    texts = [(message.content, getattr(message, "reasoning_content", "")) for message in three]
    assert len(set(texts)) > 1


@pytest.mark.parametrize("narrow", [{"extra": {"top_k": 1}}, {"extra": {"min_p": 1.0}}, {"top_p": 0.0001}], ids=str)
def test_a_draw_that_is_narrowed_to_one_token_is_greedy(model: Model, narrow: dict[str, Any]) -> None:
    """top_k, min_p and top_p each leave the best token alone."""
    greedy = model.ask(STORY, max_tokens=12).choices[0].message
    assert model.ask(STORY, max_tokens=12, temperature=1.5, **narrow).choices[0].message == greedy


@pytest.mark.parametrize(
    "penalty", [{"frequency_penalty": 2.0}, {"presence_penalty": 2.0}, {"extra": {"repetition_penalty": 2.0}}], ids=str
)
def test_penalties_keep_a_greedy_model_from_repeating_itself(smollm2_model: Model, penalty: dict[str, Any]) -> None:
    """Fewer tokens come twice with each of the penalties than with none."""

    def repeated(**more: Any) -> int:
        entries = smollm2_model.ask(STORY, max_tokens=48, logprobs=True, **more).choices[0].logprobs.content
        return len(entries) - len({entry.token for entry in entries})

    assert repeated(**penalty) < repeated()


def test_the_text_ends_before_a_stop_string(model: Model) -> None:
    """Also when it spans tokens, and streamed."""
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    full = model.ask(STORY, max_tokens=20, extra=off).choices[0].message.content
    middle = len(full) // 2
    stop = full[middle : middle + 3]
    expected = full[: full.index(stop)]
    answer = model.ask(STORY, max_tokens=20, extra=off, stop=["\x00", stop]).choices[0]
    assert (answer.message.content, answer.finish_reason) == (expected, "stop")
    (streamed,) = model.stream(STORY, max_tokens=20, extra=off, stop=stop, logprobs=True)
    assert (streamed.content, streamed.reason) == (expected, "stop")
    # Tokens that the stop string swallowed are not reported.
    assert len("".join(entry.token for entry in streamed.logprobs[:-1])) < max(len(expected), 1)


def test_log_probabilities_belong_to_the_tokens_of_the_text(model: Model) -> None:
    """Streamed and not: their texts are the content, alternatives are sorted, greedy took the first."""
    ask: dict[str, Any] = {"max_tokens": 30, "logprobs": True, "top_logprobs": 3}
    choice = model.ask("What is 3+4?", **ask).choices[0]
    entries = choice.logprobs.content
    spelled, content = b"".join(bytes(entry.bytes or ()) for entry in entries).decode(), choice.message.content
    assert (spelled.strip() if model.thinks else spelled) == content
    for entry in entries:
        chances = [other.logprob for other in entry.top_logprobs]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert max(chances) <= 0
        assert (entry.token, entry.logprob) == (entry.top_logprobs[0].token, chances[0])
    (streamed,) = model.stream("What is 3+4?", **ask)
    assert [entry.token for entry in streamed.logprobs] == [entry.token for entry in entries]
    bare = model.ask("What is 3+4?", max_tokens=30, logprobs=True).choices[0].logprobs.content
    assert [entry.top_logprobs for entry in bare] == [[]] * len(entries)
    assert model.ask("Hi", max_tokens=1).choices[0].logprobs is None


def test_a_bias_forces_and_forbids_tokens(model: Model) -> None:
    """A token with +100 is all that comes; it changes no reported log-probability."""
    token, text = str(model.token(" the")), " the the the".removeprefix(" " if model.strips_first_space else "")
    answer = model.ask(STORY, max_tokens=3, logit_bias={token: 100}, logprobs=True).choices[0]
    assert answer.message.content == text
    assert "".join(entry.token for entry in answer.logprobs.content) == text
    assert answer.logprobs.content[0].logprob < -0.1
    first = model.ask(STORY, max_tokens=1, logit_bias={token: 100}, temperature=1.0).choices[0]
    assert first.message.content == text[:-8]
    with pytest.raises(openai.BadRequestError, match=r"logit_bias\.999999999"):
        model.ask("Hi", logit_bias={"999999999": 1})


def test_thoughts_are_apart_from_the_answer(nano_model: Model) -> None:
    """Streamed and not; without thinking there are none, and an answer can be sent back with its thought."""
    message = nano_model.ask("What is 3+4?").choices[0].message
    assert (message.content, message.reasoning_content) == ("7", "3+4=7.")
    (streamed,) = nano_model.stream("What is 3+4?")
    assert (streamed.content, streamed.thought) == ("7", "3+4=7.")
    for off in ({"chat_template_kwargs": {"enable_thinking": False}}, {"reasoning_effort": "none"}):
        assert nano_model.stream("What is 3+4?", extra=off)[0].thought == ""
    assert nano_model.stream("What is 3+4?", extra={"reasoning_effort": "low"})[0].thought == "3+4=7."
    question, again = {"role": "user", "content": "What is 3+4?"}, {"role": "user", "content": "What is 2+2?"}
    assert nano_model.ask([question, message, again]).choices[0].message.content


def test_template_variables_that_a_model_does_not_know_are_refused(model: Model) -> None:
    """By name, like those that are the daemon's own; a model that cannot think need not be told not to."""
    for name in ("colour", "messages", "tools"):
        with pytest.raises(openai.BadRequestError, match=rf"chat_template_kwargs\.{name}"):
            model.ask("Hi", extra={"chat_template_kwargs": {name: True}})
    assert model.ask("Hi", max_tokens=1, extra={"chat_template_kwargs": {"enable_thinking": False}}).choices
    if not model.thinks:
        with pytest.raises(openai.BadRequestError, match="enable_thinking"):
            model.ask("Hi", extra={"chat_template_kwargs": {"enable_thinking": True}})
        with pytest.raises(openai.BadRequestError, match=r"reasoning_effort: "):
            model.ask("Hi", extra={"reasoning_effort": "low"})


def test_a_developer_is_a_system(model: Model) -> None:
    """Both roles make the same prompt."""
    answers = [
        model.ask([{"role": role, "content": "Be brief."}, {"role": "user", "content": "Hi"}], max_tokens=8)
        for role in ("system", "developer")
    ]
    assert answers[0].choices[0].message == answers[1].choices[0].message
    assert answers[0].usage.prompt_tokens == answers[1].usage.prompt_tokens


def test_all_answers_end_when_the_client_leaves(smollm2_model: Model) -> None:
    """Four of them run; a moment after the connection was closed none does."""
    daemon = smollm2_model.daemon
    stream = smollm2_model.client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": STORY}],
        n=4,
        max_tokens=1500,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    assert {chunk.choices[0].index for chunk, _ in zip(stream, range(12), strict=False)} == {0, 1, 2, 3}
    stream.close()
    deadline = time.monotonic() + 20
    while daemon.metric("youtu_edge_sequences_running") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert daemon.metric("youtu_edge_sequences_running") == 0


def test_four_answers_compute_their_prompt_once(nano_model: Model) -> None:
    """They share its pages; each computes no more than the end of it."""
    name = "youtu_edge_engine_prefill_tokens_total"
    before = nano_model.daemon.metric(name)
    answer = nano_model.client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "sixteen " * 300}], n=4, max_tokens=2
    )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 600
    assert nano_model.daemon.metric(name) - before < answer.usage.prompt_tokens + 4 * 64
