"""A call that the model makes of its own accord, in every form and in every dialect. The scripted engine echoes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from front.ollama_calls import lines
from front.scripted_daemon import Daemon
from youtu_edge.tool_formats import TOOL_FORMATS, ToolFormat

ARGUMENTS = {"at": 'the "sky"\n', "deep": [1, True, None]}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
FORMS = pytest.mark.parametrize("form", TOOL_FORMATS, ids=lambda form: form.name)


def _said(form: ToolFormat) -> tuple[list[dict[str, str]], str]:
    """The messages, of which the last is the answer, and the text before the call."""
    before = "" if form.at_start else "Let me see."
    call = form.call("look", json.dumps(ARGUMENTS))
    return [{"role": "user", "content": f"{before}\n{call}" if before else call}], before


@FORMS
def test_chat_completions(form: ToolFormat, daemon: Daemon) -> None:
    messages, before = _said(form)
    body = {"messages": [{"role": "system", "content": f"form:{form.name}"}, *messages], "tools": [FUNCTION]}
    answer = json.loads(daemon.request("POST", "/v1/chat/completions", body)[2])["choices"][0]
    assert (answer["message"]["content"] or "", answer["finish_reason"]) == (before, "tool_calls")
    (call,) = answer["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("look", ARGUMENTS)
    events = daemon.stream("/v1/chat/completions", {**body, "stream": True})
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    pieces = [piece["function"] for delta in deltas for piece in delta.get("tool_calls") or ()]
    assert "".join(piece.get("arguments") or "" for piece in pieces) == call["function"]["arguments"]
    assert "".join(delta.get("content") or "" for delta in deltas) == before


@FORMS
def test_anthropics_messages(form: ToolFormat, daemon: Daemon) -> None:
    messages, before = _said(form)
    tools = [{"name": "look", "input_schema": SCHEMA}]
    body = {"model": "default", "max_tokens": 500, "system": f"form:{form.name}", "messages": messages, "tools": tools}
    status, _, data = daemon.request("POST", "/v1/messages", body)
    assert status == 200, data
    answer = json.loads(data)
    *texts, call = answer["content"]
    assert ("".join(text["text"] for text in texts), answer["stop_reason"]) == (before, "tool_use")
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "look", ARGUMENTS)
    deltas = [event["delta"] for event in daemon.stream("/v1/messages", {**body, "stream": True}) if "delta" in event]
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == ARGUMENTS
    assert "".join(delta.get("text", "") for delta in deltas) == before


@FORMS
def test_ollamas_chat(form: ToolFormat, daemon: Daemon) -> None:
    messages, before = _said(form)
    system = {"role": "system", "content": f"form:{form.name}"}
    body: dict[str, Any] = {"model": "scripted", "messages": [system, *messages], "tools": [FUNCTION], "stream": False}
    answer = json.loads(daemon.request("POST", "/api/chat", body)[2])["message"]
    streamed = [line["message"] for line in lines(daemon, "/api/chat", {**body, "stream": True})]
    for parts in ([answer], streamed):
        assert "".join(part["content"] for part in parts) == before
        (call,) = [call for part in parts for call in part.get("tool_calls") or ()]
        assert (call["function"]["name"], call["function"]["arguments"]) == ("look", ARGUMENTS)


@FORMS
def test_openais_responses(form: ToolFormat, daemon: Daemon) -> None:
    messages, before = _said(form)
    tools = [{"type": "function", "name": "look", "parameters": SCHEMA, "strict": False}]
    body = {"input": messages, "instructions": f"form:{form.name}", "tools": tools, "store": False}
    answer = json.loads(daemon.request("POST", "/v1/responses", body)[2])
    *texts, call = answer["output"]
    assert "".join(part["text"] for text in texts for part in text["content"]) == before
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "look", ARGUMENTS)
    events = list(daemon.stream("/v1/responses", {**body, "stream": True}))
    kind = "response.function_call_arguments.delta"
    assert "".join(event["delta"] for event in events if event["type"] == kind) == call["arguments"]
