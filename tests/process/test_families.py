"""A four-bit package of every family behind a real daemon: its answers, and its calls of tools in its own form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon_process import Daemon, Stream, chat
from export.minicpm_from_granite import as_minicpm
from family_templates import TEMPLATES
from reference_data import copy_tiny_random
from youtu_edge.tool_formats import format_named
from youtu_export.__main__ import main as youtu_export

PARAMETERS = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}, "room": {"enum": ["hall", 2]}},
    "required": ["on", "room"],
    "additionalProperties": False,
}
LIGHT = {"type": "function", "function": {"name": "set_light", "parameters": PARAMETERS}}
NO_THOUGHT = "{% if is_brief %}<|Assistant|><think></think>{% endif %}"
"""Behind each template: random weights may think until the limit."""
BRIEF = {"is_brief": True}
FAMILIES = {
    "qwen3": "qwen3-tied", "smollm3": "smollm3-tied", "mistral": "mistral", "ministral": "ministral",
    "granite": "granite-tied", "phi3": "phi3", "phi-4-mini": "phi-4-mini", "llama": "llama-3.2", "gemma3": "gemma3-tied",
    "minicpm": "granite-untied", "chatglm": "chatglm3",
}  # fmt: skip
"""Templates and checkpoints, of which MiniCPM's is made."""
CONTEXT_KEYS = {"chatglm": "seq_length", "phi-4-mini": ""}
"""Where it is not max_position_embeddings. The rope of Phi-4-mini depends on it, so that stays as it is."""
SPARE = "<tool_response>"
"""A token that becomes the beginning of a call where the tokenizer has none."""


class Served:
    """A daemon, and the token with which its model's calls begin."""

    def __init__(self, daemon: Daemon, begin: int) -> None:
        self.daemon, self.begin = daemon, begin

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        status, answer = self.daemon.post("/v1/chat/completions", body)
        assert status == 200, answer
        return answer

    def called(self, **ask: Any) -> dict[str, Any]:
        """The message with one valid call, which is the same streamed."""
        body = chat("On!", tools=[LIGHT], parallel_tool_calls=False, max_tokens=100, chat_template_kwargs=BRIEF, **ask)
        (choice,) = self.answer(body)["choices"]
        assert choice["finish_reason"] == "tool_calls", choice
        message: dict[str, Any] = choice["message"]
        (call,) = message["tool_calls"]
        assert (message["content"] or "", call["function"]["name"]) == ("", "set_light")
        jsonschema.validate(json.loads(call["function"]["arguments"]), PARAMETERS)
        deltas = [choice["delta"] for event in self.daemon.stream(body) for choice in event["choices"]]
        pieces = [piece["function"] for delta in deltas for piece in delta.get("tool_calls") or ()]
        assert not any(delta.get("content") for delta in deltas)
        assert len(pieces) > 2
        for key in ("name", "arguments"):
            assert "".join(piece.get(key) or "" for piece in pieces) == call["function"][key]
        return message


@pytest.fixture(scope="module", params=FAMILIES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model of the family with its template and room for it."""
    family, directory = request.param, tmp_path_factory.mktemp("family")
    checkpoint, begin = _checkpoint(family, directory / "checkpoint")
    assert youtu_export(["hf", str(checkpoint), str(directory / "package")]) == 0
    context = 512 if family == "phi-4-mini" else 0  # beyond its short rope; or the model's own
    with Daemon(directory / "package", directory, model__context_length=context) as daemon:
        daemon.wait_ready()
        yield Served(daemon, begin)


def _checkpoint(family: str, directory: Path) -> tuple[Path, int]:
    checkpoint = copy_tiny_random(FAMILIES[family], directory)
    if family == "minicpm":
        as_minicpm(checkpoint)
    (checkpoint / "chat_template.jinja").write_text(TEMPLATES[family].source + NO_THOUGHT)
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    begin = format_named(TEMPLATES[family].form).begin
    token = next(token for token in tokenizer["added_tokens"] if token["content"] in (begin, SPARE))
    token["content"] = begin
    (checkpoint / "tokenizer.json").write_text(json.dumps(tokenizer))
    if key := CONTEXT_KEYS.get(family, "max_position_embeddings"):
        config = json.loads((checkpoint / "config.json").read_text())
        (checkpoint / "config.json").write_text(json.dumps(config | {key: 1024}))
    return checkpoint, token["id"]


def test_an_answer_is_the_same_whole_and_streamed_and_beside_others(served: Served) -> None:
    """Greedy, with random weights: noise, but the same noise each time."""
    more = {"max_tokens": 24, "ignore_eos": True}
    questions = ["What is 3+4?", "你好，世界。"]
    answers = []
    for question in questions:
        body = served.answer(chat(question, **more))
        assert body["usage"]["completion_tokens"] == 24
        answers.append(body["choices"][0]["message"])
    streams = [Stream(served.daemon, chat(question, **more)) for question in questions]
    for stream, answer in zip(streams, answers, strict=True):
        stream.join()
        assert stream.error == ""
        assert stream.text == (answer["content"] or "")
    assert answers[0] != answers[1]


def test_a_required_call_comes_whole_and_streamed(served: Served) -> None:
    """Random weights, held to the form by the grammar. The conversation with call and result can be sent back."""
    message = served.called(tool_choice="required")
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "done"}
    turns = [{"role": "user", "content": "On!"}, message, result]
    served.answer(chat("", tools=[LIGHT]) | {"messages": turns, "max_tokens": 4})


def test_a_call_that_the_model_chooses_comes_whole_and_streamed(served: Served) -> None:
    """A bias lets it begin one; from there on it is held to the form."""
    served.called(tool_choice="auto", logit_bias={str(served.begin): 100})
