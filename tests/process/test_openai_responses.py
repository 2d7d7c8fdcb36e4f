"""OpenAI's Responses with its own client, against real daemons and real models."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field

from process.openai_models import LIGHT, WEATHER, Model

QUESTION = "What will the weather be in Oslo in the next three days?"
TOOLS: list[Any] = [{"type": "function", "strict": True, **tool["function"]} for tool in (WEATHER, LIGHT)]


def ask(model: Model, asked: Any, **more: Any) -> Any:
    """A greedy, short response unless told otherwise."""
    known = {"model": "default", "input": asked, "temperature": 0, "max_output_tokens": 24}
    return model.client.responses.create(**{**known, **more})


def test_a_stream_equals_the_response_and_the_chat(model: Model) -> None:
    chat = model.ask("Name a colour.").choices[0]
    response = ask(model, "Name a colour.")
    assert response.output_text == (chat.message.content or "")
    events = list(ask(model, "Name a colour.", stream=True))
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    thoughts = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert deltas == response.output_text
    assert bool(thoughts) == model.thinks
    last = events[-1].response
    assert last.status == ("incomplete" if chat.finish_reason == "length" else "completed")
    assert last.usage.output_tokens == response.usage.output_tokens
    assert [item.type for item in last.output] == [item.type for item in response.output]


def test_a_response_goes_on_from_a_stored_one_with_its_cache(model: Model) -> None:
    """The second prompt is the first conversation and more, so that the first one comes from the cache."""
    first = ask(model, "My name is Hildegard. Please remember it.", instructions="Be brief.")
    second = ask(model, "What is my name?", previous_response_id=first.id, instructions="Be brief.")
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My name is Hildegard. Please remember it."},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "What is my name?"},
    ]
    assert second.usage.input_tokens == model.daemon.post("/tokenize", {"messages": turns})[1]["count"]
    assert second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens // 2
    kept = ask(model, turns[1:], instructions="Be brief.", store=False)
    assert kept.usage.input_tokens == second.usage.input_tokens
    forgotten = ask(model, "What is my name?", previous_response_id=first.id)
    assert forgotten.usage.input_tokens != second.usage.input_tokens, "instructions are not part of what is stored"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}], ids=["required", "named"])
def test_a_required_tool_is_called_with_valid_arguments(model: Model, choice: Any) -> None:
    more: dict[str, Any] = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "max_output_tokens": 120}
    schemas = {tool["name"]: tool["parameters"] for tool in TOOLS}
    response = ask(model, QUESTION, **more)
    (call,) = [item for item in response.output if item.type == "function_call"]
    jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    with model.client.responses.stream(model="default", input=QUESTION, temperature=1, **more) as stream:
        events = list(stream)
        final: Any = stream.get_final_response()
    (hot,) = [item for item in final.output if item.type == "function_call"]
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == hot.arguments
    jsonschema.validate(json.loads(hot.arguments), schemas[hot.name])
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    told = ask(model, [result], previous_response_id=response.id, tools=TOOLS)
    assert told.status in ("completed", "incomplete")


class Reading(BaseModel):
    """What a sensor says."""

    room: str = Field(max_length=8)
    degrees: int = Field(ge=0, le=50)


def test_parse_gives_an_object_of_the_schema(model: Model) -> None:
    """`responses.parse` at temperature 1, streamed and not."""
    more: dict[str, Any] = {"model": "default", "input": "The kitchen has 21 degrees.", "temperature": 1}
    more |= {"text_format": Reading, "max_output_tokens": 300, "reasoning": {"effort": "none"}}
    assert isinstance(model.client.responses.parse(**more).output_parsed, Reading)
    with model.client.responses.stream(**more) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Reading)
    whole = ask(model, "Give me JSON.", text={"format": {"type": "json_object"}}, reasoning={"effort": "none"})
    assert whole.output_text.lstrip().startswith("{")


def test_reasoning_can_be_switched_off(model: Model) -> None:
    """`none` asks for no thoughts, which a model without them accepts; other values are rejected for such a model."""
    off = ask(model, "Hello", reasoning={"effort": "none"})
    assert [item.type for item in off.output] == ["message"]
    if model.thinks:
        assert ask(model, "Hello", reasoning={"effort": "low"}).output[0].type == "reasoning"
    else:
        with pytest.raises(openai.BadRequestError, match=r"reasoning\.effort"):
            ask(model, "Hello", reasoning={"effort": "low"})


def test_log_probabilities_come_with_the_text(plain_model: Model) -> None:
    include: list[Any] = ["message.output_text.logprobs"]
    response = ask(plain_model, "Name a colour.", include=include, top_logprobs=2, max_output_tokens=4)
    part = response.output[0].content[0]
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert all(len(entry.top_logprobs) == 2 and entry.logprob <= 0 for entry in part.logprobs)
    events = list(ask(plain_model, "Name a colour.", include=include, max_output_tokens=4, stream=True))
    streamed = [entry for event in events if event.type == "response.output_text.delta" for entry in event.logprobs]
    assert [entry.token for entry in streamed] == [entry.token for entry in part.logprobs]


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}], ids=["whole", "stream", "background"])
def test_thoughts_that_the_model_does_not_have_are_refused_by_the_name_that_was_sent(
    smollm2_model: Model, more: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"reasoning\.effort: ") as refused:
        ask(smollm2_model, "Hi", reasoning={"effort": "low"}, **more)
    assert refused.value.param == "reasoning.effort"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(smollm2_model, "word " * 20_000, **more)
    assert refused.value.param == "input"
    assert ask(smollm2_model, "Hi", reasoning={"effort": "none"}).output_text
