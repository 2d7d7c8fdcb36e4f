"""Every form of tool calls: known by the chat template's words, asked for in the prompt, and enforced by the grammar."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.grammar_model import Model
from reference_data import copy_tiny_random
from tiny_model import make_tokenizer
from youtu_edge.engine.service import load_prompter
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.errors import PackageError
from youtu_edge.package import open_package, write_manifest
from youtu_edge.protocol.prompt import ChatMessage, ToolCall
from youtu_edge.request_errors import InvalidRequestError
from youtu_edge.tool_formats import HERMES, TOOL_FORMATS, ToolFormat, format_named, format_of
from youtu_export.__main__ import main

ARGUMENTS = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False}
LIGHT = {"type": "function", "function": {"name": "light", "parameters": ARGUMENTS}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
CALLS = {
    "hermes": '<tool_call>{"name": "light", "arguments": {"on": true}}</tool_call>',
    "mistral": '[TOOL_CALLS][{"name": "light", "arguments": {"on": true}}]',
    "mistral-args": '[TOOL_CALLS]light[ARGS]{"on": true}',
    "granite": '<|tool_call|>[{"name": "light", "arguments": {"on": true}}]',
    "phi": '<|tool_call|>[{"name": "light", "arguments": {"on": true}}]<|/tool_call|>',
    "minicpm": "<|tool_call_start|>\n```python\nlight(on=True)\n```\n<|tool_call_end|>",
    "json": '{"name": "light", "parameters": {"on": true}}',
}
"""As the models write them."""
SECOND = {
    "hermes": '\n<tool_call>{"name": "clock", "arguments": {}}</tool_call>',
    "mistral": ', {"name": "clock", "arguments": {}}]',
    "mistral-args": "[TOOL_CALLS]clock[ARGS]{}",
    "granite": ', {"name": "clock", "arguments": {}}]',
    "phi": ', {"name": "clock", "arguments": {}}]<|/tool_call|>',
    "minicpm": "\nclock()\n```\n<|tool_call_end|>",
}
"""The rest of an answer with two calls."""
TEMPLATES = {
    "hermes": "return a json object within <tool_call></tool_call> XML tags",
    "mistral": "{{- '[AVAILABLE_TOOLS] ' + tools|tojson }}[TOOL_CALLS] [",
    "mistral-args": "{{- '[TOOL_CALLS]' + name + '[ARGS]' + arguments }}",
    "granite": "<|start_of_role|>available_tools<|end_of_role|>",
    "phi": "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' }}",
    "minicpm": "{{- '<|thought_start|>\n' + message.thought + '\n<|thought_end|>\n<|tool_call_start|>\n```python\n' }}",
    "json": 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.',
}
WRONG = re.compile("true|True")
FORMS = pytest.mark.parametrize("form", TOOL_FORMATS, ids=lambda form: form.name)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(has_tags=False)


def test_every_form_is_known_by_its_templates_words() -> None:
    """Gemma 3's template has no place for tools; a template that speaks of none is served as most models are trained."""
    assert TEMPLATES.keys() == CALLS.keys() == {form.name for form in TOOL_FORMATS}
    assert {name: format_of(template).name for name, template in TEMPLATES.items()} == {name: name for name in TEMPLATES}
    assert format_of("<start_of_turn>user").name == "json"
    assert format_of("<|im_start|>user") == format_of(None) == HERMES


@FORMS
def test_a_call_in_a_free_answer_is_held_to_the_schema(form: ToolFormat, model: Model) -> None:
    """Text is free; what begins a call is not."""
    call = CALLS[form.name]
    assert form.call("light", '{"on": true}') == call
    state = model.grammar(tools=(LIGHT, CLOCK), form=form)
    text = "" if form.at_start else "Let me see. "
    assert model.refused(state, text + call) is None
    assert model.refused(model.grammar(tools=(LIGHT, CLOCK), form=form), text + WRONG.sub("1", call)) is not None
    assert model.refused(model.grammar(tools=(CLOCK,), form=form), text + call) is not None
    assert model.refused(model.grammar(tools=(LIGHT,), form=form), 'Like this: {"name": "x", "parameters": 3}') is None


@FORMS
def test_a_required_call_is_of_that_form(form: ToolFormat, model: Model) -> None:
    for parallel in (True, False):
        state = model.grammar(tools=(LIGHT, CLOCK), must_call=("light",), parallel=parallel, form=form)
        assert model.refused(state, CALLS[form.name]) is None
        assert model.may_end(state)
    assert model.refused(model.grammar(tools=(LIGHT,), must_call=("light",), form=form), "Let me see.") is not None


@pytest.mark.parametrize("name", SECOND)
def test_calls_are_parallel_if_they_may_be(name: str, model: Model) -> None:
    """In one list, or one behind the other."""
    form, first = format_named(name), CALLS[name]
    both = (first.removesuffix(form.end).removesuffix(form.calls.end) if form.calls else first) + SECOND[name]
    for required in ((), ("light", "clock")):
        state = model.grammar(tools=(LIGHT, CLOCK), must_call=required, form=form)
        assert model.refused(state, both) is None
        state = model.grammar(tools=(LIGHT, CLOCK), must_call=required, parallel=False, form=form)
        assert model.refused(state, both) is not None


def test_a_python_tag_before_a_call_changes_nothing(model: Model) -> None:
    form = format_named("json")
    state = model.grammar(tools=(LIGHT,), form=form)
    assert model.refused(state, "<|python_tag|>" + CALLS["json"].replace("true", "maybe")) is not None
    state = model.grammar(tools=(LIGHT,), form=form)
    assert model.refused(state, "<|python_tag|>" + CALLS["json"]) is None


def _render(template: str, messages: list[ChatMessage], tools: list[dict[str, Any]], tool_format: str = "") -> str:
    return Prompter(make_tokenizer(), template, tool_format=tool_format).render(messages, tools=tools)


def test_a_package_can_say_which_form_its_model_writes() -> None:
    """Over the template's words."""
    asked = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert "<tool_call>" in _render(asked, [ChatMessage("user", "Hi")], [CLOCK])
    assert "[TOOL_CALLS]the function's name[ARGS]{" in _render(asked, [ChatMessage("user", "Hi")], [CLOCK], "mistral-args")


def test_the_exporter_writes_the_form_into_the_package_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    """As of a package that a newer exporter made."""
    checkpoint = copy_tiny_random("mistral", tmp_path / "checkpoint")
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--tool-format", "phi"]) == 0
    package = open_package(tmp_path / "package")
    assert load_prompter(package)[1].tool_format.name == "phi"
    write_manifest(package.root, msgspec.structs.replace(package.manifest, tool_format="semaphore"))
    with pytest.raises(PackageError, match="tool_format: 'semaphore' is unknown; known are hermes, "):
        load_prompter(open_package(tmp_path / "package"))


def test_gemma_is_asked_for_calls_as_a_whole_answer_and_shown_its_earlier_ones_so() -> None:
    template = "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>{% endfor %}"
    call = ToolCall("1", "light", '{"on": true}')
    messages = [ChatMessage("user", "On!"), ChatMessage("assistant", "", tool_calls=[call]), ChatMessage("tool", "done")]
    text = _render(template, messages, [LIGHT])
    assert 'answer with {"name": "the function\'s name", "parameters": {"parameter": "value"}} and nothing' in text
    assert f"assistant\n{CALLS['json']}<end_of_turn>" in text


def test_phi_has_its_tools_in_the_system_message() -> None:
    template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.tools %}<|tool|>{{ m.tools }}<|/tool|>{% endif %}"
        "<|end|>{% endfor %}"
    )
    text = _render(template, [ChatMessage("user", "On!")], [LIGHT])
    assert text.startswith(f"<|system|><|tool|>{json.dumps([LIGHT['function']])}<|/tool|><|end|><|user|>On!")


def test_ids_of_calls_are_as_long_as_mistral_demands() -> None:
    """The template of a Mistral raises an exception for others. A result has the id of its call."""
    template = (
        "{% if tools %}[AVAILABLE_TOOLS]{% endif %}{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS]"
        "{% for c in m.tool_calls %}{% if c.id|length != 9 %}{{ raise_exception('nine!') }}{% endif %}<{{ c.id }}>"
        "{% endfor %}"
        "{% elif m.role == 'tool' %}<{{ m.tool_call_id }}>{% endif %}{% endfor %}"
    )
    calls = [ToolCall("call_0123456789", "light", "{}"), ToolCall("abcdefghi", "clock", "{}")]
    messages = [
        ChatMessage("assistant", "", tool_calls=calls),
        ChatMessage("tool", "x", tool_call_id="call_0123456789"),
        ChatMessage("tool", "y", tool_call_id="abcdefghi"),
    ]
    text = _render(template, messages, [LIGHT])
    ids = text.replace("[AVAILABLE_TOOLS]", "").removeprefix("[TOOL_CALLS]").strip("<>").split("><")
    assert len(set(ids)) == 2
    assert ids[:2] == ids[2:]
    assert ids[1] == "abcdefghi"


def _minicpm(body: str) -> str:
    return f"<|tool_call_start|>\n```python\n{body}\n```\n<|tool_call_end|>"


SCHEMA = {
    "type": "object",
    "properties": {
        "on": {"type": "boolean"},
        "室": {"type": "string", "description": "the room"},
        "level": {"enum": [1, "high", None]},
        "times": {"type": "array", "items": {"$ref": "#/$defs/time"}},
    },
    "required": ["on", "times"],
    "$defs": {"time": {"type": "integer", "minimum": 0, "maximum": 23}},
}


@pytest.mark.parametrize(
    ("schema", "arguments", "is_allowed"),
    [
        (SCHEMA, "on=True, times=[]", True),
        (SCHEMA, 'on=false,室="hall", level=None, times=[1, 22]', True),
        (SCHEMA, 'on=True, level="high", times=[]', True),
        (SCHEMA, "on=True, level=2, times=[]", False),
        (SCHEMA, "on=True, times=[24]", False),
        (SCHEMA, "on=True", False),
        (SCHEMA, "on=1, times=[]", False),
        (SCHEMA, "on=True, times=[], more=1", False),
        ({"type": "object"}, "", True),
        ({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}}, "", True),
        ({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}}, "b={}", True),
        ({"type": "object", "properties": {"a": {"type": "null"}, "b": False}}, "a=None", True),
        ({"type": "object", "properties": {"a b": {"const": 1}}, "required": ["a b"]}, '**{"a b": 1}', True),
        ({"type": "object", "properties": {"a b": {"const": 1}}, "required": ["a b"]}, "", False),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, '**{"x": 1}', True),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, '**{"x": "1"}', False),
        ({"type": "object", "required": ["c"]}, '**{"c": 1}', True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, '**{"a": {"a": {}}}', True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, '**{"a": 1}', False),
        ({"type": "object", "properties": {"a" * 1001: {}}}, '**{"' + "a" * 1001 + '": 1}', True),
        ({"type": "object", "properties": {"a": {"enum": [f"v{number}" for number in range(5000)]}}}, 'a="v4999"', True),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}, '**{"b": 1}', True),
    ],
)
def test_keyword_arguments_are_held_to_the_schema(
    schema: dict[str, Any], arguments: str, is_allowed: bool, model: Model
) -> None:
    """And what keywords cannot say is one dictionary."""
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    state = model.grammar(tools=(tool,), must_call=("f",), form=format_named("minicpm"))
    assert (model.refused(state, _minicpm(f"f({arguments})")) is None and model.may_end(state)) == is_allowed


@pytest.mark.parametrize("parameters", [{"properties": {"a": {"type": "nonsense"}}}, {"properties": {"a": 5}}])
def test_a_schema_of_keywords_that_cannot_be_compiled_is_an_error_that_names_the_tool(
    parameters: dict[str, Any], model: Model
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", **parameters}}}
    with pytest.raises(InvalidRequestError, match=r"tools\[0\]: its parameters cannot be compiled"):
        model.grammar(tools=(tool,), must_call=("f",), form=format_named("minicpm"))


def test_minicpm_is_shown_its_earlier_thoughts_and_calls_as_it_writes_them() -> None:
    """With the words of its template. Where a template has no place for tools, calls are written for it."""
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.thought %}<|thought_start|>\n{{ m.thought }}\n"
        "<|thought_end|>\n{% endif %}{% if m.tool_calls %}<|tool_call_start|>\n```python\n"
        "{% for call in m.tool_calls %}{{ call.function.name }}({% for key, value in call.function.arguments | items %}"
        "{{ key }}={{ value | tojson }}{{ ',' if not loop.last }}{% endfor %})\n{% endfor %}```\n<|tool_call_end|>\n"
        "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if tools %}{% endif %}"
    )
    calls = [ToolCall("1", "light", '{"on": true, "室": "大厅"}'), ToolCall("2", "clock", "{}")]
    messages = [ChatMessage("user", "On!"), ChatMessage("assistant", "", tool_calls=calls, reasoning="It is dark.")]
    text = _render(template, messages, [LIGHT])
    assert "<|thought_start|>\nIt is dark.\n<|thought_end|>\n<|tool_call_start|>\n```python\nlight(on=true,室=" in text
    bare = "{% for m in messages %}{{ m.content }}{% endfor %}{# <|tool_call_start|> #}"
    assert _minicpm('light(on=True, 室="大厅")') in _render(bare, messages, [LIGHT])
