"""Anthropic's Messages with its own client, against real daemons and real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import jsonschema
import pytest

from process.openai_models import LIGHT, WEATHER, Model

QUESTION = "What will the weather be in Oslo in the next three days?"
TOOLS: list[Any] = [
    {
        "name": tool["function"]["name"],
        "description": tool["function"].get("description", ""),
        "input_schema": tool["function"]["parameters"],
    }
    for tool in (WEATHER, LIGHT)
]
SCHEMAS = {tool["name"]: tool["input_schema"] for tool in TOOLS}


@contextmanager
def client_of(model: Model) -> Iterator[anthropic.Anthropic]:
    url = f"http://127.0.0.1:{model.daemon.port}"
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
        yield client


def asked(text: str, **more: Any) -> dict[str, Any]:
    """A greedy, short message unless told otherwise."""
    known = {"model": "default", "max_tokens": 24, "messages": [{"role": "user", "content": text}]}
    return {**known, "extra_body": {"temperature": 0}, **more}


def test_a_stream_equals_the_message_and_the_chat(model: Model) -> None:
    with client_of(model) as client:
        chat = model.ask([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour."}])
        message = client.messages.create(**asked("Name a colour.", system="Be brief."))
        text = "".join(block.text for block in message.content if block.type == "text")
        assert text == (chat.choices[0].message.content or "")
        assert message.stop_reason == {"stop": "end_turn", "length": "max_tokens"}[chat.choices[0].finish_reason]
        with client.messages.stream(**asked("Name a colour.", system="Be brief.")) as stream:
            assert "".join(stream.text_stream) == text
            final = stream.get_final_message()
        assert [block.type for block in final.content] == [block.type for block in message.content]
        assert (message.content[0].type == "thinking") == model.thinks
        usage = final.usage
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == chat.usage.prompt_tokens
        assert usage.output_tokens == message.usage.output_tokens


def test_the_stop_sequence_that_ended_the_answer_is_named(plain_model: Model) -> None:
    """It is not part of the text, whole and streamed."""
    with client_of(plain_model) as client:
        whole = client.messages.create(**asked("Count from one to nine."))
        text = whole.content[0].text  # type: ignore[union-attr]
        stop = text[8:11]
        stopped = client.messages.create(**asked("Count from one to nine.", stop_sequences=["never", stop]))
        assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", stop)
        assert stopped.content[0].text == text[: text.index(stop)]  # type: ignore[union-attr]
        with client.messages.stream(**asked("Count from one to nine.", stop_sequences=[stop])) as stream:
            assert "".join(stream.text_stream) == text[: text.index(stop)]
            assert stream.get_final_message().stop_sequence == stop


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=["any", "tool"])
def test_a_required_tool_is_called_with_valid_input(model: Model, choice: Any) -> None:
    choice = {**choice, "disable_parallel_tool_use": True}
    ask = asked(QUESTION, tools=TOOLS, tool_choice=choice, max_tokens=120, extra_body={"temperature": 1, "seed": 5})
    with client_of(model) as client:
        message = client.messages.create(**ask)
        assert message.stop_reason == "tool_use"
        (call,) = [block for block in message.content if block.type == "tool_use"]
        jsonschema.validate(call.input, SCHEMAS[call.name])
        with client.messages.stream(**ask) as stream:
            (streamed,) = [block for block in stream.get_final_message().content if block.type == "tool_use"]
        assert (streamed.name, streamed.input) == (call.name, call.input)
        turns = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
        ]
        answer = client.messages.create(**{**asked(""), "messages": turns, "tools": TOOLS})
        assert answer.usage.output_tokens > 0


def test_a_stop_sequence_does_not_count_in_a_call(model: Model) -> None:
    """The input is whole, and no sequence is said to have ended it."""
    ask = asked(QUESTION, tools=TOOLS, tool_choice={"type": "any"}, max_tokens=120, stop_sequences=['"', "}", "<", "_"])
    with client_of(model) as client, client.messages.stream(**ask) as stream:
        for message in (client.messages.create(**ask), stream.get_final_message()):
            assert (message.stop_reason, message.stop_sequence) in (("tool_use", None), ("max_tokens", None))
            call = next(block for block in message.content if block.type == "tool_use")
            jsonschema.validate(call.input, SCHEMAS[call.name])


def test_thoughts_that_the_model_does_not_have_are_refused_by_the_name_that_was_sent(smollm2_model: Model) -> None:
    with client_of(smollm2_model) as client:
        thinking: Any = {"type": "enabled", "budget_tokens": 1024}
        for refused in (
            lambda: client.messages.create(**asked("Hello", thinking=thinking)),
            lambda: client.messages.count_tokens(
                model="default", messages=[{"role": "user", "content": "Hello"}], thinking=thinking
            ),
        ):
            with pytest.raises(anthropic.BadRequestError, match=r"thinking\.type: ") as caught:
                refused()
            assert caught.value.body["error"]["param"] == "thinking.type"  # type: ignore[index]


def test_thinking_can_be_switched_off(model: Model) -> None:
    with client_of(model) as client:
        message = client.messages.create(**asked("Hello", thinking={"type": "disabled"}))
        assert [block.type for block in message.content] == ["text"]
        if model.thinks:
            thinking = {"type": "enabled", "budget_tokens": 1024}
            message = client.messages.create(**asked("Hello", thinking=thinking))
            assert message.content[0].type == "thinking"


def test_structured_output_satisfies_its_schema(model: Model) -> None:
    config: Any = {"format": {"type": "json_schema", "schema": LIGHT["function"]["parameters"]}}
    with client_of(model) as client:
        more: Any = {"output_config": config, "thinking": {"type": "disabled"}, "extra_body": {"temperature": 1}}
        message = client.messages.create(**asked("Switch it on.", **more))
        jsonschema.validate(json.loads(message.content[0].text), LIGHT["function"]["parameters"])  # type: ignore[union-attr]


def test_the_count_is_that_of_the_prompt(model: Model) -> None:
    with client_of(model) as client:
        ask: Any = {"messages": [{"role": "user", "content": QUESTION}], "system": "Be brief."}
        ask |= {"tools": TOOLS} if model.thinks else {}  # the other template knows no tools
        counted = client.messages.count_tokens(model="default", **ask).input_tokens
        usage = client.messages.create(model="default", max_tokens=1, **ask).usage
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted
