"""OpenAI's Responses: items in and out, events, storage. The scripted engine echoes what it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from front.scripted_daemon import Daemon, running, wait_until
from youtu_edge.front.dialects.responses.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    MessageItem,
    OutputText,
    Reasoning,
    ReasoningText,
    chat_messages,
)
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError

TOOLS: list[Any] = [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}]
CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'
IMAGE = {"type": "input_image", "image_url": "http://camera/1"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "x"}


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0) as made:
        yield made


def refused(daemon: Daemon, body: Any, method: str = "POST", path: str = "/v1/responses") -> tuple[int, str, str | None]:
    status, _, data = daemon.request(method, path, body)
    error = json.loads(data)["error"]
    return status, error["code"], error["param"]


def test_a_text_is_answered_with_what_the_request_left_open_filled_in(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="default",
        input="Grüße",
        instructions="be kind",
        metadata={"room": "5"},
        max_output_tokens=64,
        temperature=0.5,
    )
    assert response.output_text == "Grüße"
    assert response.status == "completed"
    assert (response.model, response.object, response.instructions) == ("scripted", "response", "be kind")
    assert (response.temperature, response.max_output_tokens) == (0.5, 64)
    assert response.metadata == {"room": "5"}
    assert response.tool_choice == "auto"
    assert response.usage
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.input_tokens_details.cached_tokens == 3


def test_an_answer_that_meets_its_limit_is_incomplete(client: openai.OpenAI) -> None:
    response = client.responses.create(model="default", input="abcdef", max_output_tokens=3)
    assert (response.status, response.output_text) == ("incomplete", "abc")
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"  # type: ignore[union-attr]


def test_a_stream_numbers_its_events_and_ends_with_the_whole_response(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="default", input="hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "hello"
    first, last = events[0], events[-1]
    assert first.type == "response.created"
    assert last.type == "response.completed"
    assert first.response.status == "in_progress"
    assert first.response.output == []
    assert (last.response.id, last.response.output_text) == (first.response.id, "hello")
    assert client.responses.retrieve(last.response.id).output_text == "hello"


def test_events_carry_their_name_on_the_wire(daemon: Daemon) -> None:
    status, headers, data = daemon.request("POST", "/v1/responses", {"input": "x", "stream": True})
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    for block in data.decode().strip().split("\n\n"):
        name, _, body = block.partition("\n")
        assert name == f"event: {json.loads(body.removeprefix('data: '))['type']}"


def test_a_tool_call_is_an_item_with_streamed_arguments(client: openai.OpenAI) -> None:
    with client.responses.stream(model="default", input=f"Let me see.{CALL}", tools=TOOLS) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert len(deltas) > 1
    assert json.loads("".join(deltas)) == {"at": "sky"}
    message, call = final.output
    assert message.type == "message"
    assert final.output_text == "Let me see."
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("look", {"at": "sky"})
    whole = client.responses.create(model="default", input=CALL, tools=TOOLS)
    assert [item.type for item in whole.output] == ["function_call"]
    untouched = client.responses.create(model="default", input=CALL, tools=TOOLS, tool_choice="none")
    assert untouched.output_text == CALL


def test_thoughts_are_items_of_their_own(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="default", input="<think>hm, so</think>yes", stream=True))
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert thought == "hm, so"
    last = events[-1]
    assert last.type == "response.completed"
    reasoning, message = last.response.output
    assert reasoning.type == "reasoning"
    assert reasoning.content
    assert reasoning.content[0].text == "hm, so"
    assert message.type == "message"
    assert last.response.output_text == "yes"


def test_a_stored_response_is_found_continued_and_deleted(daemon: Daemon, client: openai.OpenAI) -> None:
    first = client.responses.create(model="default", input="one")
    assert client.responses.retrieve(first.id).output_text == "one"
    second = client.responses.create(model="default", input="two", previous_response_id=first.id)
    assert (second.previous_response_id, second.output_text) == (first.id, "two")
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    third = client.responses.create(model="default", input="three", previous_response_id=second.id)
    assert third.output_text == "three"
    assert refused(daemon, {"input": "x", "previous_response_id": first.id}) == (404, "not_found", "previous_response_id")


def test_the_client_may_keep_the_conversation_itself(client: openai.OpenAI) -> None:
    first = client.responses.create(model="default", input=f"<think>hm</think>ok{CALL}", tools=TOOLS, store=False)
    call = first.output[-1]
    assert call.type == "function_call"
    items: list[Any] = [{"role": "user", "content": "look"}, *first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "blue"})
    assert client.responses.create(model="default", input=items, store=False).output_text == "blue"
    written_out = [item.model_dump(exclude_none=True) for item in first.output]
    items[1:-1] = written_out
    assert client.responses.create(model="default", input=items, store=False).output_text == "blue"


def test_what_shall_not_be_stored_is_not(daemon: Daemon, client: openai.OpenAI) -> None:
    response = client.responses.create(model="default", input="secret", store=False)
    assert response.store is False  # type: ignore[attr-defined]
    assert refused(daemon, None, "GET", f"/v1/responses/{response.id}")[0] == 404


def test_a_running_response_can_be_read_and_cancelled(daemon: Daemon, client: openai.OpenAI) -> None:
    stream = iter(client.responses.create(model="default", input="slow repeat:200 ", stream=True))
    created = next(stream)
    assert created.type == "response.created"
    response_id = created.response.id
    assert client.responses.retrieve(response_id).status == "in_progress"
    assert client.responses.cancel(response_id).status == "cancelled"
    last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "cancelled"
    assert client.responses.retrieve(response_id).status == "cancelled"
    assert refused(daemon, None, "POST", f"/v1/responses/{response_id}/cancel") == (400, "invalid_request", "response_id")
    assert refused(daemon, None, "POST", "/v1/responses/resp_none/cancel")[0] == 404


@pytest.mark.parametrize("stream", [False, True])
def test_a_durable_request_can_be_read_again(daemon: Daemon, stream: bool) -> None:
    """Thoughts, text and calls come with the same ids, byte for byte."""
    body = {"input": f"<think>hm</think>ok{CALL}", "tools": TOOLS}
    key = {"Idempotency-Key": f"responses-{stream}"}
    first, again = (daemon.request("POST", "/v1/responses", {**body, "stream": stream}, key) for _ in range(2))
    assert first[0] == 200
    assert first[2] == again[2]
    other = daemon.request("POST", "/v1/responses", {**body, "stream": stream}, {"Idempotency-Key": f"other-{stream}"})
    assert other[2] != first[2]


def test_an_error_after_the_status_is_the_last_event() -> None:
    with running("service.max_restart_rate=1/300") as daemon:
        daemon.wait_ready()
        daemon.kill_engine()
        wait_until(lambda: daemon.status()["restarts"] == 1 and daemon.status()["state"] == "ready")
        events = list(daemon.stream("/v1/responses", {"input": "die@3 and more", "stream": True}))
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"]["code"] == "engine_gave_up"
        assert events[-1]["response"]["status"] == "failed"


def test_responses_survive_a_restart_of_the_daemon(tmp_path: Path) -> None:
    with running(f"storage.directory={tmp_path}") as daemon:
        body = json.dumps({"input": "remember"}).encode()
        response = json.loads(daemon.wait_ready().request("POST", "/v1/responses", body)[2])
        daemon.process.kill()
    with running(f"storage.directory={tmp_path}") as daemon:
        daemon.wait_ready()
        found = json.loads(daemon.request("GET", f"/v1/responses/{response['id']}")[2])
        assert found == response
        status, _, _ = daemon.request("POST", "/v1/responses", {"input": "x", "previous_response_id": response["id"]})
        assert status == 200
        assert daemon.stop() == 0


def test_old_responses_make_room_for_new_ones(tmp_path: Path) -> None:
    with running("storage.responses_max_size=8K") as daemon:
        daemon.wait_ready()
        made = [json.loads(daemon.request("POST", "/v1/responses", {"input": "x" * 900})[2])["id"] for _ in range(12)]
        statuses = [daemon.request("GET", f"/v1/responses/{response_id}")[0] for response_id in made]
        assert statuses[-1] == 200
        assert statuses[0] == 404
        assert statuses == sorted(statuses, reverse=True)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"input": None}, "invalid_request", "input"),
        ({"input": []}, "invalid_request", "input"),
        ({"input": [{"content": "x"}]}, "invalid_request", "input[0].type"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "invalid_request", "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "invalid_request",
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "invalid_request", "input[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "invalid_request",
            "input[0].call_id",
        ),
        ({"truncation": "auto"}, "unsupported_parameter", "truncation"),
        ({"conversation": "c"}, "unsupported_parameter", "conversation"),
        ({"max_output_tokens": 10**6}, "invalid_request", "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "invalid_request", "tools[0].type"),
        ({"tools": TOOLS * 2}, "invalid_request", "tools[1].name"),
        ({"tools": [{"name": "f", "parameters": {"maximum": 2**64}}]}, "invalid_request", "tools[0].parameters.maximum"),
        ({"tool_choice": "required"}, "invalid_request", "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "invalid_request", "tool_choice.name"),
        ({"text": {"format": {"type": "xml"}}}, "invalid_request", "text.format.type"),
        ({"text": {"verbosity": "silent"}}, "invalid_request", "text.verbosity"),
        ({"reasoning": {"summary": "yes"}}, "invalid_request", "reasoning.summary"),
        ({"stream_options": {"include_obfuscation": False}}, "invalid_request", "stream_options"),
        ({"include": ["everything"]}, "invalid_request", "include[0]"),
        ({"model": "gpt-9"}, "model_not_found", "model"),
        ({"input": "long"}, "context_length_exceeded", "input"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(daemon: Daemon, change: dict[str, Any], code: str, param: str) -> None:
    assert refused(daemon, {"input": "x", **change})[1:] == (code, param)


def test_items_become_turns_of_a_conversation() -> None:
    messages = chat_messages(
        "be brief",
        [
            MessageItem(role="developer", content="you are a thermometer"),
            MessageItem(role="user", content=[InputText("how "), InputText("warm?")]),
            Reasoning(content=[ReasoningText("look it up")]),
            MessageItem(role="assistant", content=[OutputText("one moment")]),
            FunctionCall(call_id="c1", name="read", arguments="{}"),
            FunctionCall(call_id="c2", name="read_other", arguments="{}"),
        ],
        [FunctionCallOutput(call_id="c2", output="21"), MessageItem(role="assistant", content="21 degrees")],
    )
    calls = [ToolCall("c1", "read", "{}"), ToolCall("c2", "read_other", "{}")]
    assert messages == [
        ChatMessage("system", "be brief\n\nyou are a thermometer"),
        ChatMessage("user", "how warm?"),
        ChatMessage("assistant", "one moment", tool_calls=calls, reasoning="look it up"),
        ChatMessage("tool", "21", name="read_other", tool_call_id="c2"),
        ChatMessage("assistant", "21 degrees"),
    ]


def test_an_output_without_its_call_is_named_by_its_place_in_the_request() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chat_messages(None, [MessageItem(role="user", content="x")], [FunctionCallOutput(call_id="c", output="x")])
    assert caught.value.param == "input[0].call_id"
