"""Requests of Ollama's API, and their answers."""

from __future__ import annotations

import json
from typing import Any

from front.scripted_daemon import Daemon

LOOK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def lines(daemon: Daemon, path: str, body: Any) -> list[dict[str, Any]]:
    """The documents of a stream, each of which is one line."""
    status, headers, data = daemon.request("POST", path, body)
    assert (status, headers["content-type"]) == (200, "application/x-ndjson"), data
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.decode().splitlines()]


def refused(daemon: Daemon, body: Any, path: str = "/api/chat") -> tuple[int, str]:
    status, _, data = daemon.request("POST", path, body)
    document = json.loads(data)
    assert set(document) == {"error"}
    return status, document["error"]


def call(name: str, call_id: str | None = None) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": {}}} | ({"id": call_id} if call_id else {})
