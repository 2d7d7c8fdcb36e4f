"""A real model against figures computed with other software."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon_process import Daemon, Stream, chat
from reference_data import EVAL_EN, smollm2_figures
from score import greedy_ids, log_softmax, mean_nll, open_model
from youtu_edge.protocol.prompt import ChatMessage


def test_tokenisation_equals_every_reference_row(smollm2_q4: Path) -> None:
    """Hard strings and rendered chats give the reference ids."""
    _, prompter, tokenizer = open_model(smollm2_q4)
    figures = smollm2_figures()
    for row in figures["tokenize"]:
        assert tokenizer.encode(row["text"], add_special_tokens=False).ids == row["ids"], row["text"]
        if "<|" not in row["text"]:  # the reference parses control tokens in plain text; the prompter never does
            assert prompter.encode_text(row["text"]) == row["ids"], row["text"]
    for row in figures["chat"]:
        messages = [ChatMessage(m["role"], m["content"]) for m in row["messages"]]
        assert prompter.render(messages) == row["prompt"]
        assert prompter.encode_chat(messages) == row["prompt_ids"]


@pytest.mark.parametrize(("recipe", "logprob_tolerance", "nll_tolerance"), [("f32", 1e-3, 5e-4), ("q4", 0.35, 5e-3)])
def test_figures_are_those_of_the_reference(
    recipe: str,
    logprob_tolerance: float,
    nll_tolerance: float,
    request: pytest.FixtureRequest,
) -> None:
    """First-token log-probabilities, greedy ids (f32) and the mean NLL on a text of 4,096 tokens."""
    package: Path = request.getfixturevalue(f"smollm2_{recipe}")
    runner, _, tokenizer = open_model(package)
    stop = frozenset(runner.manifest.eos_token_ids)
    figures = smollm2_figures()
    for row in figures["chat"]:
        prompt = row["prompt_ids"]
        logits = log_softmax(runner.run(prompt, [len(prompt)], [0], [list(range(32))], [len(prompt) - 1]))[0]
        for expected in row["first_token_top5_fp32"]:
            assert logits[expected["id"]] == pytest.approx(expected["logprob"], abs=logprob_tolerance)
        if recipe == "f32":
            ids = greedy_ids(runner, prompt, len(row["greedy_ids_fp32"]), stop)
            assert ids == row["greedy_ids_fp32"]
    reference = figures["eval_en"]
    tokens = tokenizer.encode(EVAL_EN.read_text(), add_special_tokens=False).ids
    assert tokens[:32] == reference["ids_first_32"]
    nll = mean_nll(runner, tokens[: reference["tokens"]])
    print(f"\n{recipe}: mean NLL {nll:.5f}, reference {reference['mean_nll_fp32']:.5f}")
    assert nll == pytest.approx(reference["mean_nll_fp32"], rel=nll_tolerance)


def test_it_answers_over_http(smollm2_q4: Path, tmp_path: Path) -> None:
    """A question gets an English answer, and the stream equals the whole."""
    with Daemon(smollm2_q4, tmp_path, engine__threads=2) as daemon:
        daemon.wait_ready()
        body = chat("What is the capital of France?", max_tokens=24)
        _, answer = daemon.post("/v1/chat/completions", body)
        stream = Stream(daemon, body)
        stream.join(60)
        text = answer["choices"][0]["message"]["content"]
        assert stream.text == text
        assert len(text.split()) > 3
        assert json.dumps(answer["usage"]["prompt_tokens"]) == "37"
