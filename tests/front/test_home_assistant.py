"""Home Assistant's Ollama integration, as its requests are documented: setting up, then controlling a lamp."""

from __future__ import annotations

import json
from typing import Any

import ollama

from front.ollama_calls import user
from front.scripted_daemon import Daemon

CALL = '<tool_call>{"name": "HassTurnOn", "arguments": {"name": "Lamp", "domain": ["light"]}}</tool_call>'
TURN_ON: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "HassTurnOn",
        "description": "Turns on/opens/presses a device or entity.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "area": {"type": "string"},
                "domain": {"type": "array", "items": {"type": "string"}},
            },
            "required": [],
        },
    },
}
SYSTEM = {"role": "system", "content": "You are a voice assistant for Home Assistant.\nAnswer in plain text."}
ASKED: dict[str, Any] = {
    "model": "scripted:latest",
    "tools": [TURN_ON],
    "stream": True,
    "keep_alive": "-1s",
    "options": {"num_ctx": 8192},
    "think": False,
}
"""Its defaults: the context is larger than that of the model here, which has 4,096 tokens."""


def chat(daemon: Daemon, messages: list[Any]) -> list[ollama.ChatResponse]:
    """The parts of a streamed answer."""
    with ollama.Client(f"http://127.0.0.1:{daemon.port}") as client:
        return list(client.chat(**ASKED, messages=messages))


def test_the_model_is_found_when_the_integration_is_set_up(daemon: Daemon) -> None:
    """It lists the models, and pulls only one that is not in the list."""
    with ollama.Client(f"http://127.0.0.1:{daemon.port}") as client:
        assert [model.model for model in client.list().models] == ["scripted:latest"]


def test_a_lamp_is_turned_on_and_the_result_told(daemon: Daemon) -> None:
    """A call, its result as a message of the role `tool`, an answer; all of it streamed."""
    asked = [SYSTEM, *user(CALL)]
    parts = chat(daemon, asked)
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
        ("HassTurnOn", {"name": "Lamp", "domain": ["light"]})
    ]
    assert parts[-1].done
    called = ollama.Message(role="assistant", content="", tool_calls=calls)
    result = ollama.Message(role="tool", content=json.dumps({"speech": {}, "response_type": "action_done"}))
    answer = chat(daemon, [*asked, called, result, *user("Is it on?")])
    assert "".join(part.message.content or "" for part in answer) == "Is it on?"


def test_a_context_that_is_not_the_daemons_is_named_and_not_refused(daemon: Daemon) -> None:
    status, headers, _ = daemon.request("POST", "/api/chat", {**ASKED, "messages": user("hello"), "tools": []})
    assert status == 200
    assert headers["x-youtu-edge-ignored"] == "options.num_ctx"
