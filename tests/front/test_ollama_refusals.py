"""What Ollama's API accepts without effect here, and what is rejected by name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from front.ollama_calls import LOOK, call, lines, refused, user
from front.scripted_daemon import Daemon
from youtu_edge.front.dialects.ollama.options import OllamaOptions


@pytest.mark.parametrize("limit", [-1, -2])
def test_a_negative_limit_is_the_context(daemon: Daemon, limit: int) -> None:
    text = "x" * 1000  # more than the default limit of an answer
    body = {"prompt": text, "options": {"num_predict": limit}, "stream": False}
    assert json.loads(daemon.request("POST", "/api/generate", body)[2])["response"] == text


def test_sampling_options_have_their_names_here() -> None:
    options = OllamaOptions(temperature=0.5, top_k=3, top_p=0.9, min_p=0.1, repeat_penalty=1.2, seed=7)
    found = {name: value for name, value in msgspec.structs.asdict(options.sampling).items() if value is not None}
    named = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.2, "seed": 7}
    assert found == named
    assert OllamaOptions(seed=-1).sampling.seed is None


@pytest.mark.parametrize(
    "body",
    [
        {"keep_alive": "5m", "format": "", "images": None},
        {"keep_alive": -1, "tools": []},
        {"think": False, "options": {}},
        {"options": {"num_ctx": 8192, "num_thread": 4, "num_gpu": 99, "use_mmap": True, "num_keep": 5, "num_batch": 512}},
        {"options": {"mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "tfs_z": 1.0, "typical_p": 1.0}},
        {"options": {"repeat_last_n": -1, "penalize_newline": True, "stop": ["\n"], "seed": -1}},
    ],
)
def test_what_changes_no_answer_is_accepted(daemon: Daemon, body: dict[str, Any]) -> None:
    got = lines(daemon, "/api/chat", {"messages": user("hi")} | body)
    assert "".join(line["message"]["content"] for line in got) == "hi"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"options": {"mirostat": 1}}, "options.mirostat"),
        ({"options": {"tfs_z": 0.5}}, "options.tfs_z"),
        ({"options": {"typical_p": 0.7}}, "options.typical_p"),
        ({"options": {"repeat_last_n": 64}}, "options.repeat_last_n"),
        ({"options": {"penalize_newline": False}}, "options.penalize_newline"),
        ({"options": {"num_predict": 0}}, "options.num_predict"),
        ({"options": {"num_predict": 4097}}, "options.num_predict"),
        ({"options": {"temperature": 3}}, "options.temperature"),
        ({"options": {"wisdom": 3}}, "options.wisdom"),
        ({"wisdom": 3}, "wisdom"),
        ({"think": "high"}, "think"),
        ({"format": "xml"}, "format"),
        ({"stream": "yes"}, "stream"),
        ({"logprobs": True}, "logprobs"),
        ({"truncate": True}, "truncate"),
        ({"tools": [LOOK, LOOK]}, "tools[1].function.name"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "messages[0].images"),
        ({"messages": [{"role": "user", "content": "x", "thinking": "x"}]}, "messages[0].thinking"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [call("a")]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": "x", "tool_name": "a"}]}, "messages[0].tool_name"),
        ({"messages": user("a long one")}, "9000 tokens do not fit into 4096"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(daemon: Daemon, change: dict[str, Any], name: str) -> None:
    status, message = refused(daemon, {"messages": user("hi")} | change)
    assert status == 400
    assert name in message


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"images": ["aGk="]}, "images"),
        ({"raw": True, "system": "be"}, "system"),
        ({"raw": True, "think": True}, "think"),
    ],
)
def test_what_generate_does_not_offer_is_refused_by_name(daemon: Daemon, change: dict[str, Any], name: str) -> None:
    status, message = refused(daemon, {"prompt": "hi"} | change, "/api/generate")
    assert status == 400
    assert message.startswith(f"{name}: ")
    empty = {"template": "", "suffix": "", "context": [], "images": []}
    assert lines(daemon, "/api/generate", {"prompt": "hi"} | empty)[-1]["done"]


@pytest.mark.parametrize(
    ("method", "name", "instead"),
    [
        ("POST", "pull", "youtu-edge model install"),
        ("POST", "push", "youtu-export"),
        ("POST", "create", "youtu-export"),
        ("POST", "copy", "youtu-export"),
        ("DELETE", "delete", "youtu-edge model install"),
        ("POST", "embed", "no embeddings"),
        ("POST", "embeddings", "no embeddings"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_what_to_do(daemon: Daemon, method: str, name: str, instead: str) -> None:
    status, _, data = daemon.request(method, f"/api/{name}", {"model": "x"})
    document = json.loads(data)
    assert (status, set(document)) == (400, {"error"})
    assert document["error"].startswith(f"/api/{name} is not offered: ")
    assert instead in document["error"]


def test_a_key_for_a_durable_request_is_refused_by_name(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", "/api/chat", {"messages": user("hi")}, {"Idempotency-Key": "k"})
    assert status == 400
    assert json.loads(data)["error"].startswith("Idempotency-Key: ")
