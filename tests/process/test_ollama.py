"""Ollama's API with its own client, against a real daemon and real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import ollama
import pytest

from process.openai_models import WEATHER, Model

QUESTION = "What will the weather be in Oslo in the next three days?"
SCHEMA = WEATHER["function"]["parameters"]
FORECAST: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "The weather of the next days",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "sky": {"type": "boolean"}},
            "required": ["city", "sky"],
        },
    },
}
"""Ollama's client sends types and enumerations of a schema, and drops its other keywords."""


@pytest.fixture(scope="module")
def nano(nano_model: Model) -> Iterator[ollama.Client]:
    with client_of(nano_model) as client:
        yield client


def client_of(model: Model) -> ollama.Client:
    return ollama.Client(f"http://127.0.0.1:{model.daemon.port}", timeout=300)


def asked(text: str, **more: Any) -> dict[str, Any]:
    """A greedy, short answer unless told otherwise."""
    options = {"temperature": 0, "num_predict": 24} | more.pop("options", {})
    return {"model": "default", "messages": [{"role": "user", "content": text}], "options": options, **more}


def test_a_stream_equals_the_whole_answer_and_the_chat_of_openai(model: Model) -> None:
    chat = model.ask("Name a colour.")
    with client_of(model) as client:
        whole = client.chat(**asked("Name a colour."))
        parts = list(client.chat(**asked("Name a colour."), stream=True))
    assert whole.message.content == (chat.choices[0].message.content or "")
    assert whole.done_reason == chat.choices[0].finish_reason
    assert (whole.prompt_eval_count, whole.eval_count) == (chat.usage.prompt_tokens, chat.usage.completion_tokens)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert "".join(part.message.thinking or "" for part in parts) == (whole.message.thinking or "")
    assert bool(whole.message.thinking) == model.thinks
    assert (parts[-1].done_reason, parts[-1].eval_count) == (whole.done_reason, whole.eval_count)
    assert (whole.total_duration or 0) > 0


def test_generate_is_a_chat_of_one_turn_and_raw_a_completion(nano_model: Model, nano: ollama.Client) -> None:
    options = {"temperature": 0, "num_predict": 16}
    chat = nano.chat(**asked("Name a colour.", think=False, options=options))
    generated = nano.generate("default", "Name a colour.", think=False, options=options)
    assert generated.response == chat.message.content
    completion = nano_model.client.completions.create(model="default", prompt="Once upon", max_tokens=16, temperature=0)
    assert nano.generate("default", "Once upon", raw=True, options=options).response == completion.choices[0].text


def test_thinking_can_be_switched_off(nano: ollama.Client) -> None:
    assert nano.chat(**asked("Name a colour.", think=True)).message.thinking
    assert not nano.chat(**asked("Name a colour.", think=False)).message.thinking


def test_a_model_without_a_switch_answers_at_once_and_cannot_be_made_to_think(smollm2_model: Model) -> None:
    with client_of(smollm2_model) as client:
        assert client.chat(**asked("Name a colour.", think=False)).message.content
        assert client.show("default").capabilities == ["completion", "tools"]
        with pytest.raises(ollama.ResponseError, match=r"^think: ") as caught:
            client.chat(**asked("Name a colour.", think=True))
    assert caught.value.status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_satisfies_the_schema(nano: ollama.Client, stream: bool) -> None:
    request = asked(QUESTION, format=SCHEMA, think=False, options={"num_predict": 200, "temperature": 1, "seed": 3})
    parts = list(nano.chat(**request, stream=True)) if stream else [nano.chat(**request)]
    assert parts[-1].done_reason == "stop"
    jsonschema.validate(json.loads("".join(part.message.content or "" for part in parts)), SCHEMA)


def test_json_is_an_object(nano: ollama.Client) -> None:
    answer = nano.chat(**asked("A point, please.", format="json", think=False, options={"num_predict": 400}))
    assert answer.done_reason == "stop"
    assert isinstance(json.loads(answer.message.content or ""), dict)


def test_a_tool_is_called_and_its_result_is_taken(nano: ollama.Client) -> None:
    request = asked(QUESTION, tools=[FORECAST], think=False, options={"num_predict": 200})
    answer = nano.chat(**request)
    calls = answer.message.tool_calls or []
    assert calls
    for call in calls:
        jsonschema.validate(call.function.arguments, FORECAST["function"]["parameters"])
    streamed = [call for part in nano.chat(**request, stream=True) for call in part.message.tool_calls or ()]
    assert [call.function for call in streamed] == [call.function for call in calls]
    results = [{"role": "tool", "tool_name": call.function.name, "content": "sunny"} for call in calls]
    request["messages"] += [answer.message, *results]
    assert nano.chat(**request).done


def test_the_package_is_described(nano_model: Model, nano: ollama.Client) -> None:
    (listed,) = nano.list().models
    assert listed.size == sum(file.stat().st_size for file in nano_model.package.iterdir() if file.name != "manifest.json")
    assert listed.details is not None
    assert listed.details.quantization_level == "q4"
    shown = nano.show(listed.model or "")
    assert shown.template == (nano_model.package / "chat_template.jinja").read_text("utf-8")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    (loaded,) = nano.ps().models
    assert loaded.model == listed.model
    assert (loaded.size or 0) > 0


def test_what_is_refused_reaches_the_client_as_an_error_of_its_own(nano: ollama.Client) -> None:
    for refused in (
        lambda: nano.pull("llama3"),
        lambda: nano.embed("default", "x"),
        lambda: nano.delete("default"),
        lambda: nano.chat(**asked("hi", options={"typical_p": 0.5})),
        lambda: list(nano.chat(**asked("hi", options={"mirostat": 2}), stream=True)),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            refused()
        assert caught.value.status_code == 400
