"""Tools of OpenAI's Responses in namespaces. The scripted engine echoes what it is asked."""

from __future__ import annotations

import json
from typing import Any

from front.scripted_daemon import Daemon
from youtu_edge.front.dialects.responses.items import FunctionCall, chat_messages
from youtu_edge.front.dialects.responses.tools import FunctionTool, Namespace, offered

TOOLS: list[Any] = [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}]
CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'
SPACE: dict[str, Any] = {"type": "namespace", "name": "sky", "description": "Above us.", "tools": TOOLS}


def test_a_tool_in_a_namespace_is_called_with_both_names(daemon: Daemon) -> None:
    """The model knows it as one name; its call may be sent back, and a tool outside of it has the same name."""
    text = '<tool_call>{"name": "sky__look", "arguments": {"at": "sun"}}</tool_call>'
    body = {"input": f"{text}{CALL}", "tools": [*TOOLS, SPACE], "store": False}
    first = json.loads(daemon.request("POST", "/v1/responses", body)[2])
    found = [(item["namespace"], item["name"], item["arguments"]) for item in first["output"]]
    assert found == [("sky", "look", '{"at": "sun"}'), (None, "look", '{"at": "sky"}')]
    assert first["tools"][1]["tools"][0]["name"] == "look"
    results = [{"type": "function_call_output", "call_id": item["call_id"], "output": "blue"} for item in first["output"]]
    again = {**body, "input": [{"role": "user", "content": "look"}, *first["output"], *results]}
    assert daemon.request("POST", "/v1/responses", again)[0] == 200
    for tools, param in (
        ([SPACE, SPACE], "tools[1].tools[0].name"),
        ([{"name": "sky__look"}, SPACE], "tools[1].tools[0].name"),
        ([{**SPACE, "tools": []}], "tools[0].tools"),
        ([{**SPACE, "tools": [{"type": "custom", "name": "f"}]}], "tools[0].tools[0].type"),
    ):
        status, _, data = daemon.request("POST", "/v1/responses", {"input": "x", "tools": tools})
        error = json.loads(data)["error"]
        assert (status, error["code"], error["param"]) == (400, "invalid_request", param)


def test_a_function_of_a_namespace_is_offered_with_both_descriptions() -> None:
    functions = [FunctionTool(name="look", description="Look up."), FunctionTool(name="fly")]
    tools = offered([FunctionTool(name="walk"), Namespace(name="sky", description="Above us.", tools=functions)])
    assert [(tool.name, tool.as_tool().function.description) for tool in tools] == [
        ("walk", None),
        ("sky__look", "Above us.\n\nLook up."),
        ("sky__fly", "Above us."),
    ]
    call = FunctionCall(call_id="c", name="look", namespace="sky", arguments="{}")
    (turn,) = chat_messages(None, [], [call])
    assert [made.name for made in turn.tool_calls] == ["sky__look"]
