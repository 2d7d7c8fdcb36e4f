"""Fields that cannot change an answer are accepted and named; what is unknown is answered with what was perhaps meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from front.scripted_daemon import Daemon, running

IGNORED = "x-youtu-edge-ignored"
HELLO = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"messages": HELLO}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"prompt": "hello", "max_tokens": 3},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"max_tokens": 9, "messages": HELLO},
    "/v1/messages/count_tokens": {"messages": HELLO},
    "/api/chat": {"messages": HELLO, "stream": False},
    "/api/show": {},
    "/chat": {"prompt": "hello"},
    "/chat_stream": {"prompt": "hello"},
    "/tokenize": {"content": "hello"},
}
"""A small body for each route."""

HINTS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"store": True, "metadata": {"a": "b"}}, "metadata, store"),
    ("/v1/chat/completions", {"prompt_cache_key": "k", "safety_identifier": "s"}, "prompt_cache_key, safety_identifier"),
    ("/v1/chat/completions", {"service_tier": "priority", "verbosity": "low"}, "service_tier, verbosity"),
    ("/v1/chat/completions", {"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ("/v1/chat/completions", {"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
    ("/v1/responses", {"prompt_cache_key": "k", "client_metadata": {"a": "b"}}, "client_metadata, prompt_cache_key"),
    ("/v1/responses", {"include": ["reasoning.encrypted_content"]}, "include[]"),
    ("/v1/responses", {"text": {"verbosity": "low"}, "reasoning": {"summary": "auto"}},
     "reasoning.summary, text.verbosity"),
    ("/v1/responses", {"context_management": [{"type": "compaction"}], "max_tool_calls": 3},
     "context_management, max_tool_calls"),
    ("/v1/messages", {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}, "context_management"),
    ("/v1/messages", {"output_config": {"effort": "max"}, "speed": "fast"}, "output_config.effort, speed"),
    ("/v1/messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.budget_tokens"),
    ("/v1/messages/count_tokens", {"output_config": {"effort": "low"}}, "output_config.effort"),
    ("/api/chat", {"keep_alive": "5m", "options": {"num_ctx": 8192, "num_thread": 4}},
     "keep_alive, options.num_ctx, options.num_thread"),
    ("/api/show", {"verbose": True}, "verbose"),
]  # fmt: skip


def texts(data: bytes) -> list[str]:
    """Every text of an answer, in order: ids and times differ from one to the next."""
    found: list[str] = []
    open_values: list[Any] = [json.loads(data)]
    for value in open_values:
        if isinstance(value, dict):
            found += [inner for name, inner in value.items() if name in ("text", "content") and isinstance(inner, str)]
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value
    return found


@pytest.mark.parametrize(("path", "hint", "named"), HINTS, ids=lambda value: str(value)[:40])
def test_a_hint_is_accepted_and_named_and_changes_no_text(
    daemon: Daemon, path: str, hint: dict[str, Any], named: str
) -> None:
    plain = daemon.request("POST", path, ASKED[path])
    hinted = daemon.request("POST", path, ASKED[path] | hint)
    assert (plain[0], hinted[0]) == (200, 200), hinted[2]
    assert IGNORED not in plain[1]
    assert hinted[1][IGNORED] == named
    assert texts(hinted[2]) == texts(plain[2])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"store": False, "metadata": {}, "service_tier": "auto", "verbosity": "medium"}),
        ("/v1/chat/completions", {"store": None, "verbosity": None, "user": "kitchen"}),
        ("/v1/chat/completions", {"functions": [], "function_call": "none", "modalities": ["text"]}),
        ("/v1/responses", {"include": ["message.output_text.logprobs"], "truncation": "disabled", "store": True}),
        ("/v1/messages", {"service_tier": "auto", "speed": "standard", "output_config": {"effort": "high"}}),
        ("/api/chat", {"keep_alive": -1, "options": {"mirostat": 0, "temperature": 0}}),
    ],
)  # fmt: skip
def test_what_is_obeyed_is_not_named(daemon: Daemon, path: str, body: dict[str, Any]) -> None:
    status, headers, data = daemon.request("POST", path, ASKED[path] | body)
    assert status == 200, data
    assert IGNORED not in headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_stream_names_them_before_its_first_event(daemon: Daemon, path: str) -> None:
    body = ASKED[path] | {"stream": True, "stream_options": {"include_obfuscation": True}, "prompt_cache_key": "k"}
    status, headers, _ = daemon.request("POST", path, body)
    assert (status, headers[IGNORED]) == (200, "prompt_cache_key, stream_options.include_obfuscation")


def test_a_stored_response_is_no_hint(daemon: Daemon) -> None:
    """`store` of Responses is obeyed, either way."""
    for store, status in ((True, 200), (False, 404)):
        _, headers, data = daemon.request("POST", "/v1/responses", {"input": "hello", "store": store})
        assert IGNORED not in headers
        assert daemon.request("GET", f"/v1/responses/{json.loads(data)['id']}")[0] == status


def test_each_ignored_field_is_logged_once_for_each_route() -> None:
    with running() as daemon:
        daemon.wait_ready()
        for _ in range(3):
            daemon.chat("hello", store=True, metadata={"a": "b"})
            daemon.request("POST", "/api/chat", ASKED["/api/chat"] | {"options": {"num_ctx": 8192}})
        lines = [
            line.partition("field_ignored ")[2] for line in daemon.log.decode().splitlines() if "field_ignored" in line
        ]
    assert sorted(lines) == [
        "route=/api/chat field=options.num_ctx",
        "route=/v1/chat/completions field=metadata",
        "route=/v1/chat/completions field=store",
    ]


def test_a_request_that_is_rejected_names_nothing_as_ignored(daemon: Daemon) -> None:
    status, headers, _ = daemon.request("POST", "/v1/chat/completions", CHAT | {"store": True, "temperature": 9})
    assert status == 400
    assert IGNORED not in headers


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("/v1/chat/completions", {"functions": [{"name": "f"}]}, "functions"),
        ("/v1/chat/completions", {"modalities": ["text", "audio"]}, "modalities"),
        ("/v1/chat/completions", {"web_search_options": {}}, "web_search_options"),
        ("/v1/completions", {"echo": True}, "echo"),
        ("/v1/completions", {"best_of": True}, "best_of"),
        ("/v1/responses", {"truncation": "auto"}, "truncation"),
        ("/v1/responses", {"conversation": "c"}, "conversation"),
        ("/v1/messages", {"container": "c"}, "container"),
        ("/v1/messages", {"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        (
            "/v1/messages",
            {"tools": [{"name": "f", "input_schema": {}}, {"name": "g", "input_schema": {}, "defer_loading": True}]},
            "tools[1].defer_loading",
        ),
        ("/tokenize", {"parse_special": True}, "parse_special"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(
    daemon: Daemon, path: str, change: dict[str, Any], param: str
) -> None:
    status, _, data = daemon.request("POST", path, ASKED[path] | change)
    error = json.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", param)
    assert error["message"] == f"{param}: not supported by this server; leave it out"


def test_an_effort_switches_thinking_as_the_template_does(daemon: Daemon) -> None:
    for effort in ("none", "high"):
        assert daemon.chat("hello", reasoning_effort=effort)[0] == 200
    status, answer = daemon.chat("hello", reasoning_effort="low", chat_template_kwargs={"enable_thinking": True})
    assert (status, answer["error"]["param"]) == (400, "reasoning_effort")


@pytest.mark.parametrize(
    ("path", "unknown", "meant"),
    [
        ("/v1/chat/completions", "max_token", "max_tokens"),
        ("/v1/chat/completions", "temprature", "temperature"),
        ("/v1/chat/completions", "prompt_cache_keys", "prompt_cache_key"),
        ("/v1/completions", "max_new_tokens", "max_tokens"),
        ("/v1/responses", "max_tokens", "max_output_tokens"),
        ("/v1/responses", "instruction", "instructions"),
        ("/v1/messages", "stop_sequence", "stop_sequences"),
        ("/v1/messages/count_tokens", "sytem", "system"),
        ("/api/chat", "keepalive", "keep_alive"),
        ("/api/chat", "option", "options"),
        ("/chat", "max_tokens", "max_new_tokens"),
        ("/chat_stream", "session", "session_id"),
        ("/tokenize", "contents", "content"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(
    daemon: Daemon, path: str, unknown: str, meant: str
) -> None:
    status, _, data = daemon.request("POST", path, ASKED[path] | {unknown: 5})
    error = json.loads(data)["error"]
    message = error if isinstance(error, str) else error["message"]
    assert (status, message) == (400, f"{unknown}: unknown parameter; did you mean `{meant}`?")


def test_a_field_inside_an_object_is_compared_with_those_of_the_object(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", "/api/chat", ASKED["/api/chat"] | {"options": {"num_thraed": 2}})
    assert status == 400
    assert json.loads(data)["error"] == "options.num_thraed: unknown parameter; did you mean `num_thread`?"
    status, answer = daemon.chat("hello", tools=[{"type": "function", "function": {"name": "f", "params": {}}}])
    assert answer["error"]["message"] == "tools[0].function.params: unknown parameter; did you mean `parameters`?"


@pytest.mark.parametrize("unknown", ["wisdom", "x" * 5000])
def test_a_field_that_resembles_none_gets_no_suggestion(daemon: Daemon, unknown: str) -> None:
    message = daemon.chat("hello", **{unknown: 1})[1]["error"]["message"]
    assert message.endswith("unknown parameter")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/message", "/v1/messages"),
        ("/heath", "/health"),
        ("/api/chats", "/api/chat"),
    ],
)
def test_an_unknown_route_is_answered_with_the_one_that_was_meant(daemon: Daemon, path: str, meant: str) -> None:
    status, _, data = daemon.request("POST", path, {})
    error = json.loads(data)["error"]
    message = error if isinstance(error, str) else error["message"]
    assert (status, message) == (404, f"no route {path}; did you mean `{meant}`?")


def test_an_unknown_route_of_a_dialect_is_answered_in_its_form(daemon: Daemon) -> None:
    """What begins like Ollama's routes gets Ollama's errors; below a route of Anthropic's, its own."""
    status, _, data = daemon.request("POST", "/api/blobs/sha256:1", {})
    assert (status, list(json.loads(data))) == (404, ["error"])
    assert json.loads(data)["error"].startswith("no route /api/blobs/sha256:1")
    assert json.loads(daemon.request("POST", "/v1/messages/batches", {})[2])["type"] == "error"
    assert json.loads(daemon.request("POST", "/v1/audio", {})[2])["error"]["code"] == "not_found"
    assert json.loads(daemon.request("GET", "/wisdom")[2])["error"]["message"] == "no route /wisdom"
