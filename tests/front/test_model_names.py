"""The names under which clients find the model, and what they ask before they send anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from front.scripted_daemon import Daemon, running
from youtu_edge.config_file import load_config
from youtu_edge.errors import ConfigError

HELLO = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"max_tokens": 9, "messages": HELLO},
    "/v1/messages/count_tokens": {"messages": HELLO},
    "/api/chat": {"messages": HELLO, "stream": False},
    "/api/generate": {"prompt": "hello", "stream": False},
    "/api/show": {},
}
"""Of the routes that take a model; the scripted engine has no answer to /v1/completions."""


@pytest.fixture(scope="module")
def named() -> Iterator[Daemon]:
    """A model whose name and one of whose aliases contain slashes."""
    with running("model.name=lab/youtu:2b", "model.aliases=[gpt-4o-mini, openai/gpt-4o, 'llama3.2:3b']") as daemon:
        yield daemon.wait_ready()


@pytest.mark.parametrize("path", list(BODIES))
def test_every_dialect_knows_the_aliases(named: Daemon, path: str) -> None:
    for name in ("lab/youtu:2b", "default", "gpt-4o-mini", "openai/gpt-4o", "llama3.2:3b"):
        status, _, data = named.request("POST", path, BODIES[path] | {"model": name})
        assert status == 200, data
    assert named.request("POST", path, BODIES[path] | {"model": "gpt-5"})[0] == 404


def test_ollama_knows_them_in_any_case_and_with_its_tag(named: Daemon) -> None:
    for name in ("GPT-4o-mini:latest", "Llama3.2:3B", "LAB/Youtu:2b"):
        assert named.request("POST", "/api/chat", BODIES["/api/chat"] | {"model": name})[0] == 200
    assert named.request("POST", "/api/chat", BODIES["/api/chat"] | {"model": "llama3.2"})[0] == 404


def test_answers_carry_the_served_name(named: Daemon) -> None:
    answer = named.chat("hello", model="gpt-4o-mini")[1]
    assert answer["model"] == "lab/youtu:2b"


def test_a_star_is_every_name() -> None:
    with running('model.aliases="*"') as daemon:
        daemon.wait_ready()
        for path, body in BODIES.items():
            status, _, data = daemon.request("POST", path, body | {"model": "claude-sonnet-4-5"})
            assert status == 200, data
        assert json.loads(daemon.request("GET", "/v1/models/any/thing")[2])["id"] == "scripted"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("aliases: gpt-4o", "must be * or a list, not 'gpt-4o'"),
        ("aliases: ['']", "must be"),
        ("aliases: 5", "must be * or a list, not '5'"),
        ("aliases: *", "needs quotes"),
    ],
)
def test_other_aliases_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "youtu-edge.yaml"
    file.write_text(f"model:\n  {text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert problem in caught.value.message


def test_a_model_is_found_by_each_of_its_names(named: Daemon) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{named.port}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["lab/youtu:2b"]
        for name in ("lab/youtu:2b", "default", "gpt-4o-mini", "openai/gpt-4o"):
            found = client.models.retrieve(name)
            assert (found.id, found.object) == ("lab/youtu:2b", "model")
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-5")
    assert caught.value.code == "model_not_found"
    assert "use 'lab/youtu:2b'" in caught.value.message
    assert named.request("GET", "/v1/models/lab%2Fyoutu:2b")[0] == 200
    assert named.request("GET", "/v1/models/default?limit=5")[0] == 400
    assert named.request("DELETE", "/v1/models/lab/youtu:2b")[0] == 405


def test_probes_of_llama_cpp_are_answered(daemon: Daemon) -> None:
    assert daemon.request("GET", "/health")[2] == b'{"status":"ok"}'
    properties = json.loads(daemon.request("GET", "/props")[2])
    assert properties["default_generation_settings"]["n_ctx"] == 4096
    assert properties["model_alias"] == "scripted"
    assert properties["modalities"] == {"vision": False, "audio": False}


def test_probes_say_that_the_model_is_loading_and_count_as_no_rejection(tmp_path: Path) -> None:
    loading = tmp_path / "loading"
    loading.touch()
    with running(engine=("--load-while", str(loading))) as daemon:
        for path in ("/health", "/props"):
            status, headers, data = daemon.request("GET", path)
            assert (status, json.loads(data)["error"]["code"]) == (503, "unavailable")
            assert "retry-after" in headers
        assert daemon.metric('youtu_edge_refused_total{code="unavailable"}') == 0
        assert daemon.request("GET", "/v1/models/default")[0] == 404
