"""Continue, as its source sends its requests: chat by either provider, completion while typing by the provider ollama."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from process.test_infill import AFTER, BEFORE, Infilling, infilling  # noqa: F401 (a fixture)

TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Use this tool if you need to view the contents of an existing file.",
        "parameters": {"type": "object", "required": ["filepath"], "properties": {"filepath": {"type": "string"}}},
    },
}
OPTIONS = {"temperature": 0.01, "num_predict": 24, "num_ctx": 8192}
STOPS = [
    *("<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>"),
    *(
        "<|file_sep|>",
        "<|im_start|>",
        "<|im_end|>",
        "\n\n",
        "\r\n\r\n",
        "/src/",
        "#- coding: utf-8",
        "```",
        "def ",
        "class ",
    ),
]
"""Of its template for Qwen, of every completion, and of the language."""


@pytest.fixture
def board(infilling: Infilling) -> Iterator[httpx.Client]:  # noqa: F811
    with httpx.Client(base_url=f"http://127.0.0.1:{infilling.daemon.port}", timeout=120) as client:
        yield client


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    """Of a stream of Ollama's API."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_chat_and_edit_by_the_provider_openai(board: httpx.Client) -> None:
    """With its system message and a tool; usage comes last."""
    body = {
        "model": "default",
        "max_tokens": 16,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [TOOL],
        "messages": [
            {"role": "system", "content": "<important_rules>\n  You are in chat mode.\n</important_rules>"},
            {"role": "user", "content": "```py add.py\ndef add(a, b):\n```\nWhat does this do?"},
        ],
    }
    headers = {"Authorization": "Bearer none", "x-api-key": "none", "api-key": "none"}
    answer = board.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] > 0
    assert board.get("/v1/models").json()["data"]


def test_chat_by_the_provider_ollama(board: httpx.Client) -> None:
    """Streamed; with tools it asks for the whole answer."""
    messages = [{"role": "user", "content": "What does add do?"}]
    common = {"model": "default", "messages": messages, "options": OPTIONS, "keep_alive": 1800}
    assert lines(board.post("/api/chat", json={**common, "stream": True}))[-1]["done"]
    whole = board.post("/api/chat", json={**common, "tools": [TOOL], "stream": False})
    assert whole.status_code == 200, whole.text
    assert whole.headers["x-youtu-edge-ignored"] == "keep_alive, options.num_ctx"


@pytest.mark.parametrize(("before", "after"), [(BEFORE, AFTER), ("", AFTER), (BEFORE, "")])
def test_completion_while_typing_by_the_provider_ollama(board: httpx.Client, before: str, after: str) -> None:
    """Once it has seen `.Suffix` in the template it sends what stands around the cursor, which may be nothing."""
    assert ".Suffix" in board.post("/api/show", json={"name": "default"}).json()["template"]
    body = {
        "model": "default",
        "prompt": before,
        "suffix": after,
        "raw": True,
        "options": {**OPTIONS, "stop": STOPS},
        "keep_alive": 1800,
        "stream": True,
    }
    found = lines(board.post("/api/generate", json=body))
    assert found[-1]["done"]
    assert found[-1]["eval_count"] > 0
    assert all("error" not in line for line in found)


def test_completion_while_typing_by_the_provider_openai_is_answered(board: httpx.Client) -> None:
    """Its template puts the tokens into the prompt as text, so the model sees their letters, as docs/clients.md says."""
    prompt = f"<|fim_prefix|>{BEFORE}<|fim_suffix|>{AFTER}<|fim_middle|>"
    body = {"model": "default", "prompt": prompt, "max_tokens": 8, "temperature": 0.01, "stop": STOPS, "stream": True}
    answer = board.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
