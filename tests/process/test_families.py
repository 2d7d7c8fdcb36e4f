"""A package of every newer family, in four bits, behind a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon_process import Daemon, Stream, chat
from reference_data import copy_tiny_random
from youtu_export.__main__ import main as youtu_export


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("qwen3-tied", 0),
        ("mistral", 0),
        ("ministral", 0),
        ("smollm3-tied", 0),
        ("gemma3-tied", 0),
        ("granite-tied", 0),
        ("phi3", 0),
        ("phi-4-mini", 512),
    ],
)
def test_a_family_answers_the_same_whole_and_streamed_and_beside_others(name: str, context: int, tmp_path: Path) -> None:
    """Greedy, with random weights: noise, but the same noise each time. A context of 0 is the model's own."""
    checkpoint = copy_tiny_random(name, tmp_path / "checkpoint")
    assert youtu_export(["hf", str(checkpoint), str(tmp_path / "package")]) == 0
    more = {"max_tokens": 24, "ignore_eos": True}
    with Daemon(tmp_path / "package", tmp_path, model__context_length=context) as daemon:
        daemon.wait_ready()
        questions = ["What is 3+4?", "你好，世界。"]
        answers = []
        for question in questions:
            status, body = daemon.post("/v1/chat/completions", chat(question, **more))
            assert status == 200, body
            assert body["usage"]["completion_tokens"] == 24
            answers.append(body["choices"][0]["message"])
        streams = [Stream(daemon, chat(question, **more)) for question in questions]
        for stream, answer in zip(streams, answers, strict=True):
            stream.join()
            assert stream.error == ""
            assert stream.text == (answer["content"] or "")
    assert answers[0] != answers[1]
