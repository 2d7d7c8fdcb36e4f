"""What a client has got as an answer can be sent back as it keeps it, by the clients' own models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from front.scripted_daemon import Daemon

CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'
SAID = f"<think>hm</think>One moment.{CALL}"
LOOK: dict[str, Any] = {"name": "look", "parameters": {"type": "object", "additionalProperties": False}, "strict": True}
TOOLS: list[Any] = [{"type": "function", "function": LOOK}]
DUMPS: list[Callable[[Any], Any]] = [
    lambda model: model,
    lambda model: model.model_dump(),
    lambda model: model.model_dump(mode="json", exclude_unset=True),
    lambda model: model.to_dict(),
    lambda model: json.loads(model.model_dump_json()),
]
"""As the client's object, and as people store it."""


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def anthropic_client(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{daemon.port}", api_key="none", max_retries=0) as made:
        yield made


def chat_messages(client: openai.OpenAI) -> Iterator[Any]:
    """The same answer whole, from the helper that parses, and from the one that accumulates a stream."""
    ask: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": SAID}], "tools": TOOLS}
    yield client.chat.completions.create(**ask).choices[0].message
    yield client.chat.completions.parse(**ask).choices[0].message
    with client.chat.completions.stream(**ask) as stream:
        yield stream.get_final_completion().choices[0].message


@pytest.mark.parametrize("dump", DUMPS)
def test_a_message_of_a_chat(daemon: Daemon, client: openai.OpenAI, dump: Callable[[Any], Any]) -> None:
    for message in chat_messages(client):
        (call,) = message.tool_calls
        turns: list[Any] = [
            {"role": "user", "content": SAID},
            dump(message),
            {"role": "tool", "tool_call_id": call.id, "content": "blue"},
        ]
        answer = client.chat.completions.create(model="default", messages=turns, tools=TOOLS)
        assert answer.choices[0].message.content == "blue"
        if isinstance(turns[1], dict):  # it becomes part of the prompt in the other routes, too
            for path in ("/tokenize", "/apply-template"):
                assert daemon.request("POST", path, {"messages": turns})[0] == 200


def test_a_message_put_together_from_the_deltas_of_a_stream(client: openai.OpenAI) -> None:
    """`tool_calls[].index` and all, as many programs do it."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    question: Any = {"role": "user", "content": f"ok{CALL}{CALL}"}
    for chunk in client.chat.completions.create(model="default", messages=[question], tools=TOOLS, stream=True):
        delta = chunk.choices[0].delta
        message["content"] += delta.content or ""
        for call in delta.tool_calls or ():
            assert call.function
            if call.id:
                message["tool_calls"].append(call.model_dump())
            else:
                message["tool_calls"][-1]["function"]["arguments"] += call.function.arguments
    assert [call["index"] for call in message["tool_calls"]] == [0, 1]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "blue"} for call in message["tool_calls"]]
    turns: Any = [question, message, *results]
    answer = client.chat.completions.create(model="default", messages=turns, tools=TOOLS)
    assert answer.choices[0].message.content == "blue"


@pytest.mark.parametrize("dump", DUMPS)
def test_output_items_of_a_response(client: openai.OpenAI, dump: Callable[[Any], Any]) -> None:
    ask: dict[str, Any] = {"model": "default", "input": SAID, "tools": [{"type": "function", **LOOK}]}
    ask["include"] = ["message.output_text.logprobs"]
    with client.responses.stream(**ask) as stream:
        streamed = stream.get_final_response()
    for response in (client.responses.create(**ask), client.responses.parse(**ask), streamed):
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        call: Any = response.output[-1]
        items: list[Any] = [{"role": "user", "content": SAID}, *map(dump, response.output)]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "blue", "status": None})
        assert client.responses.create(model="default", input=items).output_text == "blue"


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "message"])
@pytest.mark.parametrize("dump", DUMPS)
def test_a_message_of_anthropics(anthropic_client: anthropic.Anthropic, dump: Callable[[Any], Any], whole: bool) -> None:
    """Its blocks, as Anthropic's own server takes them, and the whole message."""
    tools: list[Any] = [{"name": "look", "input_schema": LOOK["parameters"]}]
    ask: dict[str, Any] = {"model": "default", "max_tokens": 200, "tools": tools}
    question = {"role": "user", "content": SAID}
    with anthropic_client.messages.stream(**ask, messages=[question]) as stream:  # type: ignore[list-item]
        streamed = stream.get_final_message()
    for message in (anthropic_client.messages.create(**ask, messages=[question]), streamed):  # type: ignore[list-item]
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        call: Any = message.content[-1]
        answered = dump(message) if whole else {"role": "assistant", "content": [dump(block) for block in message.content]}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "blue", "is_error": None, "cache_control": None}
        turns: list[Any] = [question, answered, {"role": "user", "content": [result]}]
        answer: Any = anthropic_client.messages.create(**ask, messages=turns)
        assert answer.content[0].text == "blue"
        counted = anthropic_client.messages.count_tokens(model="default", messages=turns, tools=tools)
        assert counted.input_tokens > 0


@pytest.mark.parametrize(
    ("path", "turn", "param"),
    [
        ("/v1/chat/completions", {"role": "assistant", "content": "x", "function_call": {"name": "f"}}, "function_call"),
        ("/v1/chat/completions", {"role": "assistant", "content": "x", "audio": {"id": "a"}}, "audio"),
        ("/v1/chat/completions", {"role": "assistant", "content": "x", "annotation": []}, "annotation"),
        ("/v1/messages", {"role": "assistant", "content": "x", "stop_reasons": "x"}, "stop_reasons"),
        ("/v1/messages", {"role": "assistant", "content": "x", "container": {"id": "c"}}, "container"),
    ],
)
def test_what_has_a_meaning_or_is_misspelt_is_still_refused(
    daemon: Daemon, path: str, turn: dict[str, Any], param: str
) -> None:
    body = {"max_tokens": 5, "messages": [turn, {"role": "user", "content": "x"}]}
    status, _, data = daemon.request("POST", path, body)
    error = json.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", f"messages[0].{param}")
