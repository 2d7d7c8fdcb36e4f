"""Request fields that are rejected by name, and the values that are accepted."""

from __future__ import annotations

from typing import Any

import pytest

from front.refusal import refused
from front.scripted_daemon import Daemon

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"messages": []}, "invalid_request", "messages"),
        ({"messages": None}, "invalid_request", "messages"),
        ({"messages": "hello"}, "invalid_request", "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_request", "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_request", "messages[0].tool_call_id"),
        ({"messages": [{"content": "x"}]}, "invalid_request", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "invalid_request", "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "invalid_request", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]},
            "invalid_request",
            "messages[0].tool_calls",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "text": ""}]}]},
            "invalid_request",
            "messages[0].content[0].type",
        ),
        ({"max_tokens": 0}, "invalid_request", "max_tokens"),
        ({"max_tokens": -5}, "invalid_request", "max_tokens"),
        ({"max_tokens": 10**9}, "invalid_request", "max_tokens"),
        ({"max_completion_tokens": 10**30}, "invalid_request", "max_completion_tokens"),
        ({"max_tokens": 1.5}, "invalid_request", "max_tokens"),
        ({"max_tokens": "5"}, "invalid_request", "max_tokens"),
        ({"max_tokens": True}, "invalid_request", "max_tokens"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "invalid_request", "max_tokens"),
        ({"temperature": -0.1}, "invalid_request", "temperature"),
        ({"temperature": 2.1}, "invalid_request", "temperature"),
        ({"temperature": "hot"}, "invalid_request", "temperature"),
        ({"top_p": 0}, "invalid_request", "top_p"),
        ({"top_p": 1.01}, "invalid_request", "top_p"),
        ({"top_k": -1}, "invalid_request", "top_k"),
        ({"min_p": 2}, "invalid_request", "min_p"),
        ({"repetition_penalty": 0}, "invalid_request", "repetition_penalty"),
        ({"presence_penalty": 2.5}, "invalid_request", "presence_penalty"),
        ({"frequency_penalty": -2.5}, "invalid_request", "frequency_penalty"),
        ({"seed": 2**63}, "invalid_request", "seed"),
        ({"stop": ""}, "invalid_request", "stop"),
        ({"stop": ["a", ""]}, "invalid_request", "stop[1]"),
        ({"stop": ["a"] * 33}, "invalid_request", "stop"),
        ({"stream": "yes"}, "invalid_request", "stream"),
        ({"stream_options": {"include_usage": True}}, "invalid_request", "stream_options"),
        ({"stream": True, "stream_options": {"usage": True}}, "unsupported_parameter", "stream_options.usage"),
        ({"n": 0}, "invalid_request", "n"),
        ({"n": True}, "invalid_request", "n"),
        ({"logprobs": 3}, "invalid_request", "logprobs"),
        ({"top_logprobs": 3}, "invalid_request", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "invalid_request", "top_logprobs"),
        ({"tools": [{"type": "function"}]}, "invalid_request", "tools[0].function"),
        ({"tools": [{"type": "retrieval", "function": {"name": "f"}}]}, "invalid_request", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "f g"}}]}, "invalid_request", "tools[0].function.name"),
        ({"tools": [TOOL, TOOL]}, "invalid_request", "tools[1].function.name"),
        ({"tool_choice": "required"}, "invalid_request", "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "invalid_request", "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "invalid_request",
            "tool_choice.function.name",
        ),
        ({"response_format": {"type": "xml"}}, "invalid_request", "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "invalid_request", "response_format.json_schema"),
        ({"regex": "a", "grammar": "start: A"}, "invalid_request", "grammar"),
        ({"response_format": {"type": "json_object"}, "regex": "a"}, "invalid_request", "regex"),
        ({"logit_bias": {"one": 2}}, "invalid_request", "logit_bias"),
        ({"logit_bias": {"1": 200}}, "invalid_request", "logit_bias"),
        ({"best_of": 2}, "unsupported_parameter", "best_of"),
        ({"temprature": 1}, "unsupported_parameter", "temprature"),
        ({"user": 7}, "invalid_request", "user"),
    ],
)
def test_a_bad_field_is_refused_by_name(daemon: Daemon, change: dict[str, Any], code: str, param: str) -> None:
    assert refused(daemon, {"messages": HELLO, **change}) == (400, code, param)


@pytest.mark.parametrize(
    "neutral",
    [
        {
            "n": 1,
            "logprobs": False,
            "tools": [],
            "tool_choice": "none",
            "response_format": {"type": "text"},
            "logit_bias": {},
        },
        {"temperature": None, "max_tokens": None, "stop": None, "stream": None, "seed": None, "tools": None},
        {"temperature": 2, "top_p": 1, "top_k": 0, "seed": -(2**63), "stop": [], "user": "kitchen"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}]},
    ],
)
def test_values_that_ask_for_nothing_special_are_accepted(daemon: Daemon, neutral: dict[str, Any]) -> None:
    status, answer = daemon.chat("hello", **neutral)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello"), answer


@pytest.mark.parametrize("path", ["/chat", "/chat_stream"])
@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": 1}, "prompt"), ({"prompt": "x", "n": 1}, "n")],
)
def test_the_plain_dialect_is_as_strict(daemon: Daemon, path: str, body: dict[str, Any], param: str) -> None:
    assert refused(daemon, body, path)[::2] == (400, param)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_fit_is_a_400_also_for_a_stream(daemon: Daemon, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "long"}], "stream": stream}
    assert refused(daemon, body) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize("session", [{}, {"session_id": "long"}])
@pytest.mark.parametrize("path", ["/chat", "/chat_stream"])
def test_in_the_plain_dialect_it_is_the_prompt(daemon: Daemon, path: str, session: dict[str, str]) -> None:
    assert refused(daemon, {"prompt": "long", **session}, path) == (400, "context_length_exceeded", "prompt")
