"""Answers bound by a grammar, with OpenAI's own client, against real daemons and real models."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from process.openai_models import Model, put_together

SENSOR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "maxLength": 8},
        "state": {"enum": ["ok", "warn", "alarm"]},
        "celsius": {"type": "integer", "minimum": -40, "maximum": 125},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
        "valve": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/valve"}]},
    },
    "required": ["place", "state", "celsius", "tags", "valve"],
    "additionalProperties": False,
    "$defs": {
        "valve": {
            "type": "object",
            "properties": {"open": {"type": "boolean"}},
            "required": ["open"],
            "additionalProperties": False,
        }
    },
}
QUESTION = "The boiler in the cellar has 97 degrees. Reply in JSON."


class Place(BaseModel):
    """What the client's `parse` is given."""

    name: str
    is_city: bool


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "reading", "schema": schema, "strict": True}}


def test_one_hundred_of_one_hundred_hot_answers_satisfy_their_schema(model: Model) -> None:
    """At temperature 1, eight at a time, half of them streamed; what the masks cost is in the metrics.

    Where the weights are random, a quarter of them tells as much.
    """
    count = 100 if model.is_trained else 25
    names = "youtu_edge_grammar_masks_total", "youtu_edge_grammar_mask_seconds_total"
    before = [model.daemon.metric(name) for name in names]
    ask: dict[str, Any] = {"temperature": 1.0, "max_tokens": 200, "response_format": schema_format(SENSOR)}

    def answer(seed: int) -> tuple[str, str]:
        if seed % 2:
            (streamed,) = model.stream(QUESTION, seed=seed, **ask)
            return streamed.reason, streamed.content
        choice = model.ask(QUESTION, seed=seed, **ask).choices[0]
        return choice.finish_reason, choice.message.content

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(answer, range(count)))
    assert {reason for reason, _ in answers} == {"stop"}
    for _, text in answers:
        jsonschema.validate(json.loads(text), SENSOR)
    assert len({text for _, text in answers}) > count // 5
    masks, seconds = [model.daemon.metric(name) - old for name, old in zip(names, before, strict=True)]
    assert masks > 1000
    print(f"{model.name}: {masks:.0f} masks, {1e3 * seconds / masks:.3f} ms each")


def test_an_object_is_an_object(model: Model) -> None:
    """json_object, streamed and not; cut by max_tokens it says so."""
    for more in ({"response_format": {"type": "json_object"}}, {"extra": {"grammar": 'start: "{}"'}}):
        choice = model.ask("Describe Oslo.", max_tokens=150, temperature=1.0, seed=2, **more).choices[0]
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
        (streamed,) = model.stream("Describe Oslo.", max_tokens=150, temperature=1.0, seed=2, **more)
        assert (streamed.content, streamed.reason) == (choice.message.content, choice.finish_reason)
        assert streamed.content.startswith("{")


@pytest.mark.parametrize(
    ("extra", "pattern"),
    [
        ({"regex": "(yes|no), [a-z]{3,6}!"}, "(yes|no), [a-z]{3,6}!"),
        ({"grammar": 'start: "on" | "off" SPACE? NUMBER\nSPACE: " "\nNUMBER: /[0-9]{2}/'}, "on|off ?[0-9]{2}"),
    ],
    ids=["regex", "lark"],
)
def test_the_whole_answer_matches(model: Model, extra: dict[str, str], pattern: str) -> None:
    """Streamed and not, also in plain completions."""
    for choice in model.ask("Is it on?", temperature=1.0, seed=1, n=3, max_tokens=60, extra=extra).choices:
        assert choice.finish_reason == "stop"
        assert re.fullmatch(pattern, choice.message.content)
    (streamed,) = model.stream("Is it on?", temperature=1.0, max_tokens=60, extra=extra)
    assert re.fullmatch(pattern, streamed.content)
    plain = model.client.completions.create(model="default", prompt="Is it on?", max_tokens=40, extra_body=extra)
    assert re.fullmatch(pattern, plain.choices[0].text)


def test_the_client_parses_into_a_type(smollm2_model: Model) -> None:
    """`parse` and the helper for streams send the schema of a pydantic class and get an instance of it."""
    request: dict[str, Any] = {
        "model": "default",
        "messages": [{"role": "user", "content": "Describe Oslo, the capital of Norway."}],
        "temperature": 0,
        "max_tokens": 100,
        "response_format": Place,
    }
    parsed = smollm2_model.client.chat.completions.parse(**request).choices[0].message.parsed
    assert isinstance(parsed, Place)
    with smollm2_model.client.chat.completions.stream(**request) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed == parsed


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": schema_format({"type": "wizard"})}, "response_format.json_schema.schema"),
        ({"response_format": schema_format({"type": "object", "not": {}})}, "response_format.json_schema.schema"),
        ({"extra": {"regex": "(("}}, "regex"),
        ({"extra": {"grammar": "start: nothing"}}, "grammar"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_refused_by_name(model: Model, more: dict[str, Any], param: str) -> None:
    """A real 400, also for a stream."""
    for ask in (model.ask, model.stream):
        with pytest.raises(openai.BadRequestError) as refused:
            ask("Hi", **more)
        assert (refused.value.param, refused.value.code) == (param, "invalid_request")


def test_a_bound_answer_goes_on_after_the_engine_was_killed(model: Model) -> None:
    """In the middle of the JSON and of a call's arguments: what the client puts together is valid."""
    from process.openai_models import WEATHER

    ask: dict[str, Any] = {"model": "default", "max_tokens": 250, "temperature": 1.0, "seed": 4, "stream": True}
    requests: list[dict[str, Any]] = [
        {**ask, "messages": [{"role": "user", "content": QUESTION}], "response_format": schema_format(SENSOR)},
        {
            **ask,
            "messages": [{"role": "user", "content": "Weather in Oslo?"}],
            "tools": [WEATHER],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
    ]
    begun, killed = threading.Barrier(3), threading.Event()

    def follow(request: dict[str, Any]) -> Any:
        stream, chunks = model.client.chat.completions.create(**request), []
        for chunk in stream:
            chunks.append(chunk)
            if len(chunks) == 4:
                begun.wait(240)
                killed.wait(240)
        return put_together(chunks)[0]

    with ThreadPoolExecutor(2) as threads:
        followed = [threads.submit(follow, request) for request in requests]
        begun.wait(240)
        restarts, pid = model.daemon.metric("youtu_edge_engine_restarts_total"), model.daemon.engine_pid
        os.kill(pid, signal.SIGKILL)
        killed.set()
        bound, called = (future.result(240) for future in followed)
    model.daemon.wait_engine_pid(pid)  # the answers of a fast model may have been complete
    model.daemon.wait_ready()
    assert model.daemon.metric("youtu_edge_engine_restarts_total") == restarts + 1
    assert (bound.reason, called.reason) == ("stop", "tool_calls")
    jsonschema.validate(json.loads(bound.content), SENSOR)
    jsonschema.validate(json.loads(called.calls[0]["arguments"]), WEATHER["function"]["parameters"])


def test_a_grammar_that_grows_too_complex_ends_its_own_request_only(nano_model: Model) -> None:
    """Whole: a 400. Streamed: the last event says so. Others go on."""
    rules = "\n".join(f'a{index}: "x" | a{index} a{index}' for index in range(60))
    source = f"start: {' | '.join(f'a{index}' for index in range(60))}\n{rules}\n"
    more: dict[str, Any] = {
        "max_tokens": 300,
        "extra": {"grammar": source},
        "logit_bias": {str(nano_model.token("x")): 100},
    }
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(nano_model.ask, "Count.", max_tokens=150, extra={"ignore_eos": True})
        with pytest.raises(openai.BadRequestError, match="the answer's grammar failed"):
            nano_model.ask("x", **more)
        with pytest.raises(openai.APIError, match="the answer's grammar failed"):
            nano_model.stream("x", **more)
        assert other.result(240).usage.completion_tokens == 150
    assert nano_model.daemon.metric("youtu_edge_sequences_running") == 0
