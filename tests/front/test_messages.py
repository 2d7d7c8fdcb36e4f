"""Anthropic's Messages with its own client. The scripted engine echoes the last turn that it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.front.dialects.anthropic.blocks import (
    MessageParam,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    chat_messages,
)
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError

TOOLS: list[Any] = [{"name": "look", "input_schema": {"type": "object"}}]
CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{daemon.port}", api_key="none", max_retries=0) as made:
        yield made


def ask(client: anthropic.Anthropic, text: str, **more: Any) -> anthropic.types.Message:
    message = client.messages.create(
        model="default", max_tokens=200, messages=[{"role": "user", "content": text}], stream=False, **more
    )
    assert isinstance(message, anthropic.types.Message)
    return message


def refused(daemon: Daemon, body: Any, path: str = "/v1/messages") -> tuple[int, str, str | None]:
    status, _, data = daemon.request("POST", path, body)
    document = json.loads(data)
    assert document["type"] == "error"
    assert set(document["error"]) == {"type", "message", "param", "code"}
    return status, document["error"]["type"], document["error"]["param"]


def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    message = ask(client, "Grüße", system="be kind", metadata={"user_id": "me"}, thinking={"type": "disabled"})
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "Grüße"  # type: ignore[union-attr]
    assert (message.role, message.type, message.model) == ("assistant", "message", "scripted")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.cache_read_input_tokens == 3
    assert message.usage.output_tokens == 5


def test_an_answer_that_meets_its_limit_says_so(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="default", max_tokens=3, messages=[{"role": "user", "content": "abcdef"}])
    assert message.stop_reason == "max_tokens"


def test_a_stream_has_the_events_of_the_dialect(daemon: Daemon, client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "default", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == "hello"
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 5
    data = daemon.request("POST", "/v1/messages", {**asked, "stream": True})[2].decode()
    events = [block.partition("\n") for block in data.strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _, _ in events]
    assert names[:2] == ["message_start", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[2:-3]) == {"content_block_delta"}
    for name, (_, _, body) in zip(names, events, strict=True):
        assert json.loads(body.removeprefix("data: "))["type"] == name


def test_a_tool_is_called_with_streamed_input(client: anthropic.Anthropic) -> None:
    message = ask(client, f"Let me see.{CALL}", tools=TOOLS, tool_choice={"type": "auto"})
    assert message.stop_reason == "tool_use"
    text, call = message.content
    assert text.type == "text"
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("look", {"at": "sky"})
    with client.messages.stream(
        model="default", max_tokens=200, messages=[{"role": "user", "content": CALL}], tools=TOOLS
    ) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == {"at": "sky"}
    assert final.content[0].input == {"at": "sky"}  # type: ignore[union-attr]
    assert ask(client, CALL, tools=TOOLS, tool_choice={"type": "none"}).content[0].text == CALL  # type: ignore[union-attr]


def test_the_conversation_goes_on_with_what_the_tool_answered(client: anthropic.Anthropic) -> None:
    first = ask(client, f"<think>hm</think>ok{CALL}", tools=TOOLS)
    thought, _, call = first.content
    assert thought.type == "thinking"
    assert thought.thinking == "hm"
    assert call.type == "tool_use"
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "blue"}]}
    turns: list[Any] = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(model="default", max_tokens=50, messages=turns, tools=TOOLS)
    assert answer.content[0].text == "blue"  # type: ignore[union-attr]


def test_thoughts_are_streamed_as_blocks_of_their_own(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="default", max_tokens=200, messages=[{"role": "user", "content": "<think>hm, so</think>yes"}]
    ) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
        final = stream.get_final_message()
    assert "".join(thoughts) == "hm, so"
    assert [block.type for block in final.content] == ["thinking", "text"]


def test_tokens_are_counted_as_the_template_makes_them(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "default", "messages": [{"role": "user", "content": "ok"}], "system": "be"}
    assert client.messages.count_tokens(**asked).input_tokens == len("system:be\nuser:ok\n")
    assert client.beta.messages.count_tokens(**asked).input_tokens == len("system:be\nuser:ok\n")


def test_a_limit_beyond_the_context_is_met_by_the_context(client: anthropic.Anthropic) -> None:
    """Clients must send one, and those that do not know the model send what the largest has."""
    for limit in (8000, 128_000):
        answer = client.messages.create(
            model="default", max_tokens=limit, messages=[{"role": "user", "content": "x"}], timeout=20
        )
        assert [block.text for block in answer.content if block.type == "text"] == ["x"]


def test_errors_are_those_that_the_client_knows(daemon: Daemon, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="default", max_tokens=0, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.NotFoundError, match="scripted"):
        client.messages.create(model="claude", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    assert refused(daemon, b"{")[:2] == (400, "invalid_request_error")
    status, _, data = daemon.request("GET", "/v1/messages")
    assert (status, json.loads(data)["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_durable_request_can_be_read_again(daemon: Daemon, stream: bool) -> None:
    """Thoughts, text and calls come with the same ids, byte for byte."""
    body = {"max_tokens": 200, "messages": [{"role": "user", "content": f"<think>hm</think>ok{CALL}"}], "tools": TOOLS}
    key = {"Idempotency-Key": f"messages-{stream}"}
    first, again = (daemon.request("POST", "/v1/messages", {**body, "stream": stream}, key) for _ in range(2))
    assert first[0] == 200
    assert first[2] == again[2]
    other = daemon.request("POST", "/v1/messages", {**body, "stream": stream}, {"Idempotency-Key": f"other-{stream}"})
    assert other[2] != first[2]


def test_an_error_after_the_status_is_the_last_event() -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["restarts"] == 1 and daemon.status()["state"] == "ready")
        body = {"max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "die@3 and more"}]}
        last = list(daemon.stream("/v1/messages", body))[-1]
        assert (last["type"], last["error"]["code"]) == ("error", "engine_gave_up")


THOUGHT = {"type": "thinking", "thinking": "x"}
USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
        ({"messages": [USER, {"role": "assistant", "content": "Once"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]},
            "messages[0].content[0].type",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": TOOLS * 2}, "tools[1].name"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"messages": [USER, {"role": "system", "content": [THOUGHT]}]}, "messages[1].content[0].type"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"container": "c"}, "container"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(daemon: Daemon, change: dict[str, Any], param: str) -> None:
    body = {"max_tokens": 5, "messages": [USER], **change}
    assert refused(daemon, body) == (400, "invalid_request_error", param)


def test_blocks_become_turns_of_a_conversation() -> None:
    messages = chat_messages(
        [TextBlock("be "), TextBlock("brief")],
        [
            MessageParam("user", "how warm?"),
            MessageParam(
                "assistant",
                [ThinkingBlock("look it up"), TextBlock("one moment"), ToolUseBlock(id="t1", name="read", input={"at": 1})],
            ),
            MessageParam(
                "user", [TextBlock("well?"), ToolResultBlock(tool_use_id="t1", content="no sensor", is_error=True)]
            ),
        ],
    )
    assert messages == [
        ChatMessage("system", "be brief"),
        ChatMessage("user", "how warm?"),
        ChatMessage("assistant", "one moment", tool_calls=[ToolCall("t1", "read", '{"at": 1}')], reasoning="look it up"),
        ChatMessage("tool", "Error: no sensor", name="read", tool_call_id="t1"),
        ChatMessage("user", "well?"),
    ]


def test_a_result_before_its_call_is_named() -> None:
    turns = [MessageParam("user", [ToolResultBlock(tool_use_id="t1", content="x")])]
    with pytest.raises(InvalidRequestError) as caught:
        chat_messages(None, turns)
    assert caught.value.param == "messages[0].content[0].tool_use_id"
