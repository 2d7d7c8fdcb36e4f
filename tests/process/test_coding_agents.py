"""Requests of coding agents, answered by a real model whose template knows tools and thinking."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from client_bodies import CLAUDE_CODE_IGNORED, CODEX_IGNORED, claude_code, codex
from process.openai_models import Model


def streamed(model: Model, path: str, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The header that names ignored fields, and the events of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{model.daemon.port}{path}",
        data=json.dumps(body | {"model": "default"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        events = [json.loads(line[6:]) for line in answer if line.startswith(b"data: ")]
        return answer.headers["X-Youtu-Edge-Ignored"], events


def test_claude_code_is_answered(nano_model: Model) -> None:
    ignored, events = streamed(nano_model, "/v1/messages?beta=true", claude_code(48))
    assert ignored == CLAUDE_CODE_IGNORED
    assert events[-1]["type"] == "message_stop"
    assert events[-2]["usage"]["output_tokens"] > 0


def test_codex_is_answered(nano_model: Model) -> None:
    ignored, events = streamed(nano_model, "/v1/responses", codex() | {"max_output_tokens": 48})
    assert ignored == CODEX_IGNORED
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert events[-1]["response"]["usage"]["output_tokens"] > 0
