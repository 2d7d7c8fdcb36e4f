"""A four-bit package of every family calls a tool in the form that its chat template speaks of, behind a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon_process import Daemon, chat
from reference_data import copy_tiny_random
from youtu_export.__main__ import main as youtu_export

PARAMETERS = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}, "room": {"enum": ["hall", 2]}},
    "required": ["on", "room"],
    "additionalProperties": False,
}
LIGHT = {"type": "function", "function": {"name": "set_light", "parameters": PARAMETERS}}
_TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end_of_text|>{% endfor %}"
_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}"
_NO_THOUGHT = "<|Assistant|><think></think>"
"""Else random weights may think until the limit."""
FAMILIES = {
    "qwen3-tied": _TOOLS + "{% if tools %}Answer within <tool_call></tool_call>.{% endif %}" + _TURNS,
    "smollm3-tied": _TOOLS + "{% if tools %}Answer within <tool_call></tool_call>.{% endif %}" + _TURNS,
    "mistral": "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}{% endif %}" + _TURNS + "{# [TOOL_CALLS] [ #}",
    "ministral": _TOOLS + _TURNS + "{# [TOOL_CALLS] [ARGS] #}",
    "granite-tied": _TOOLS + "{# <|start_of_role|> #}" + _TURNS,
    "phi-4-mini": "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m['tools'] %}<|tool|>{{ m['tools'] }}<|/tool|>{% endif %}<|end_of_text|>{% endfor %}",
    "llama-3.2": _TOOLS + 'Respond as {"name": name, "parameters": dictionary of arguments}.' + _TURNS,
    "gemma3-tied": "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_required_call_comes_whole_and_streamed(name: str, tmp_path: Path) -> None:
    """Random weights, held to the form by the grammar. The conversation with call and result can be sent back."""
    checkpoint = copy_tiny_random(name, tmp_path / "checkpoint")
    (checkpoint / "chat_template.jinja").write_text(FAMILIES[name] + _NO_THOUGHT)
    assert youtu_export(["hf", str(checkpoint), str(tmp_path / "package")]) == 0
    ask: dict[str, Any] = {"tools": [LIGHT], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 200}
    context = 512 if name == "phi-4-mini" else 0
    with Daemon(tmp_path / "package", tmp_path, model__context_length=context) as daemon:
        daemon.wait_ready()
        status, body = daemon.post("/v1/chat/completions", chat("On!", **ask))
        assert status == 200, body
        answer = body["choices"][0]
        assert answer["finish_reason"] == "tool_calls", answer
        assert not answer["message"]["content"]
        (call,) = answer["message"]["tool_calls"]
        assert call["function"]["name"] == "set_light"
        jsonschema.validate(json.loads(call["function"]["arguments"]), PARAMETERS)
        deltas = [choice["delta"] for event in daemon.stream(chat("On!", **ask)) for choice in event["choices"]]
        pieces = [piece["function"] for delta in deltas for piece in delta.get("tool_calls") or ()]
        assert not any(delta.get("content") for delta in deltas)
        assert len(pieces) > 2
        for key in ("name", "arguments"):
            assert "".join(piece.get(key) or "" for piece in pieces) == call["function"][key]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
        more = {"messages": [{"role": "user", "content": "On!"}, answer["message"], result], "max_tokens": 4}
        status, body = daemon.post("/v1/chat/completions", chat("", tools=[LIGHT]) | more)
        assert status == 200, body
