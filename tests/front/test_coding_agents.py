"""Requests of coding agents are answered, and what of them has no effect is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from client_bodies import CLAUDE_CODE_IGNORED, CODEX_IGNORED, RESULT, claude_code, codex
from front.scripted_daemon import Daemon, running

IGNORED = "x-youtu-edge-ignored"


@pytest.fixture(scope="module")
def agents() -> Iterator[Daemon]:
    """A daemon that knows the name that the agents use."""
    with running("model.aliases=[youtu]") as daemon:
        yield daemon.wait_ready()


def events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]


def test_claude_code_is_answered(agents: Daemon) -> None:
    """It streams; the scripted engine echoes the last turn, which is the result of the tool."""
    status, headers, data = agents.request("POST", "/v1/messages?beta=true", claude_code(4096))
    assert status == 200, data
    assert headers[IGNORED] == CLAUDE_CODE_IGNORED
    found = events(data)
    deltas = [event["delta"] for event in found if event["type"] == "content_block_delta"]
    assert "".join(delta["text"] for delta in deltas) == RESULT
    assert found[-1]["type"] == "message_stop"


def test_claude_code_counts_tokens_with_the_same_fields(agents: Daemon) -> None:
    body = {name: value for name, value in claude_code(4096).items() if name not in ("max_tokens", "stream", "metadata")}
    status, headers, data = agents.request("POST", "/v1/messages/count_tokens?beta=true", body)
    assert status == 200, data
    assert headers[IGNORED] == CLAUDE_CODE_IGNORED
    assert json.loads(data)["input_tokens"] > 100


def test_thinking_needs_no_budget(agents: Daemon) -> None:
    """Agents leave it out for models that they do not know; none is enforced anyway."""
    status, headers, data = agents.request("POST", "/v1/messages", claude_code(4096) | {"thinking": {"type": "enabled"}})
    assert status == 200, data
    assert "thinking" not in headers[IGNORED]


def test_codex_is_answered(agents: Daemon) -> None:
    status, headers, data = agents.request("POST", "/v1/responses", codex())
    assert status == 200, data
    assert headers[IGNORED] == CODEX_IGNORED
    found = events(data)
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["text"] == {"format": {"type": "text"}, "verbosity": None}
    assert found[-1]["response"]["reasoning"] == {"effort": "medium", "summary": None}
    assert "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta") == RESULT


def test_codex_may_leave_out_what_it_does_not_know_of_the_model(agents: Daemon) -> None:
    """An effort and a verbosity: it sends `reasoning` without the one, and `text` not at all."""
    body = {name: value for name, value in codex().items() if name != "text"} | {"reasoning": {"summary": "auto"}}
    assert agents.request("POST", "/v1/responses", body)[0] == 200
