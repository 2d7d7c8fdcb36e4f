"""Tools with OpenAI's own client, against real daemons and real models."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import openai
import pytest

from process.openai_models import LIGHT, WEATHER, Model

QUESTION = "What will the weather be in Oslo in the next three days?"
NO_THOUGHTS = {"chat_template_kwargs": {"enable_thinking": False}}
CHOICES: list[Any] = ["required", {"type": "function", "function": {"name": "get_weather"}}]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in (WEATHER, LIGHT)}


def check(calls: list[dict[str, str]], names: set[str]) -> None:
    """Every call is of one of these tools, with valid arguments and a unique id."""
    assert calls
    assert len({call["id"] for call in calls}) == len(calls)
    for call in calls:
        assert call["name"] in names
        jsonschema.validate(json.loads(call["arguments"]), SCHEMAS[call["name"]])


def plain(message: Any) -> list[dict[str, str]]:
    """The calls of a message in the shape of a stream's."""
    return [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments} for call in message.tool_calls
    ]


def without_ids(calls: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(call["name"], call["arguments"]) for call in calls]


@pytest.mark.parametrize("choice", CHOICES, ids=["required", "named"])
def test_a_required_call_is_made_with_valid_arguments(model: Model, choice: Any) -> None:
    """Streamed and not, greedy and at temperature 1; arguments come in several pieces."""
    names = set(SCHEMAS) if choice == "required" else {"get_weather"}
    ask: dict[str, Any] = {
        "tools": [WEATHER, LIGHT],
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "max_tokens": 120,
    }
    answer = model.ask(QUESTION, **ask).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("tool_calls", None)
    check(plain(answer.message), names)
    assert len(answer.message.tool_calls) == 1
    (streamed,) = model.stream(QUESTION, **ask)
    assert streamed.reason == "tool_calls"
    assert without_ids(streamed.calls) == without_ids(plain(answer.message))
    assert streamed.argument_pieces > 1
    for hot in model.stream(QUESTION, temperature=1.0, seed=3, n=4, **ask):
        check(hot.calls, names)
        assert hot.reason == "tool_calls"


@pytest.mark.parametrize("stop", [['"', "}"], ["{", "get_weather"], ["<", "tool_call", ">"], [" ", ":", ",", "s", "e"]])
def test_stop_texts_do_not_count_in_a_call(model: Model, stop: list[str]) -> None:
    """Neither in what is called nor in the tags around it, streamed and not; so arguments are always whole."""
    ask: dict[str, Any] = {"tools": [WEATHER, LIGHT], "parallel_tool_calls": False, "max_tokens": 120, "stop": stop}
    required = {**ask, "tool_choice": "required"}
    # With the choice left to the model a bias makes it begin a call, where it has a token for that.
    bias = {str(model.token_of_tag("<tool_call>")): 100} if model.thinks else {}
    for one in [required, {**ask, "logit_bias": bias, "extra": NO_THOUGHTS}] if bias else [required]:
        answer = model.ask(QUESTION, **dict(one)).choices[0]
        assert answer.finish_reason == "tool_calls"
        check(plain(answer.message), set(SCHEMAS))
        (streamed,) = model.stream(QUESTION, **dict(one))
        assert without_ids(streamed.calls) == without_ids(plain(answer.message))


def test_several_calls_follow_each_other(model: Model) -> None:
    """A model that is pushed to go on calling makes parallel calls, each with valid arguments."""
    (streamed,) = model.stream(QUESTION, tools=[LIGHT], tool_choice="required", temperature=1.0, seed=1, max_tokens=160)
    check(streamed.calls[:-1] if streamed.reason == "length" else streamed.calls, {"set_light"})
    assert streamed.content == ""


def test_a_call_that_the_model_begins_by_itself_is_held_to_its_schema(nano_model: Model) -> None:
    """With the choice left to the model, text is free and a call is not; here a bias makes it begin one."""
    ask: dict[str, Any] = {
        "tools": [WEATHER, LIGHT],
        "logit_bias": {str(nano_model.token_of_tag("<tool_call>")): 100},
        "parallel_tool_calls": False,
        "max_tokens": 120,
        "temperature": 1.0,
    }
    for seed in range(5):
        answer = nano_model.ask(QUESTION, seed=seed, **ask).choices[0]
        assert answer.finish_reason == "tool_calls"
        check(plain(answer.message), set(SCHEMAS))
        (streamed,) = nano_model.stream(QUESTION, seed=seed, **ask)
        assert without_ids(streamed.calls) == without_ids(plain(answer.message))


def test_without_a_call_the_answer_is_text(model: Model) -> None:
    """Tools that are offered, or forbidden, change nothing about the shape of a plain answer."""
    for choice in ("auto", "none"):
        answer = model.ask("What is 3+4?", tools=[LIGHT], tool_choice=choice, max_tokens=40).choices[0]
        assert answer.message.content
        assert answer.message.tool_calls is None
        assert answer.finish_reason in ("stop", "length")


def test_tools_that_may_not_be_called_are_not_shown_to_the_model(model: Model) -> None:
    """With the choice `none` the prompt is as long as without tools."""
    lengths = {
        choice: model.ask("Hi", max_tokens=1, **({"tools": [WEATHER], "tool_choice": choice} if choice else {})).usage
        for choice in ("", "none", "auto")
    }
    assert lengths["none"].prompt_tokens == lengths[""].prompt_tokens < lengths["auto"].prompt_tokens


def test_a_result_goes_back_to_the_model(model: Model) -> None:
    """The conversation of a call, as the client keeps it, is accepted and its prompt grows by call and result."""
    ask: dict[str, Any] = {"tools": [LIGHT], "parallel_tool_calls": False}
    question = {"role": "user", "content": "Turn the light on."}
    first = model.ask([question], tool_choice="required", max_tokens=80, **ask)
    (call,) = first.choices[0].message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "<|im_end|> the light is on"}
    second = model.ask([question, first.choices[0].message, result], max_tokens=16, **ask)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + 10
    assert second.choices[0].finish_reason in ("stop", "length")


def test_definitions_that_cannot_be_enforced_are_refused(model: Model) -> None:
    """The tool is named."""
    bad = {"type": "function", "function": {"name": "x", "parameters": {"type": "object", "not": {}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        model.ask("Hi", tools=[LIGHT, bad])
    assert refused.value.param == "tools[1]"


def test_the_helper_for_streams_understands_the_events(plain_model: Model) -> None:
    """`client.chat.completions.stream` parses the arguments as they come."""
    with plain_model.client.chat.completions.stream(
        model="default",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[{**LIGHT, "function": {**LIGHT["function"], "strict": True}}],  # type: ignore[list-item]
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=80,
    ) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert message.tool_calls
    assert isinstance(message.tool_calls[0].function.parsed_arguments, dict)


def test_the_prompt_with_tools_can_be_looked_at(model: Model) -> None:
    """/apply-template shows what the model is told of them, and takes what the chat route takes."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Turn the light on."}]}
    bare = model.daemon.post("/apply-template", body)[1]["prompt"]
    shown = model.daemon.post("/apply-template", {**body, "tools": [LIGHT]})[1]["prompt"]
    assert "set_light" in shown
    assert "set_light" not in bare
    status, refused = model.daemon.post("/apply-template", {**body, "chat_template_kwargs": {"colour": 1}})
    assert (status, refused["error"]["param"]) == (400, "chat_template_kwargs.colour")
