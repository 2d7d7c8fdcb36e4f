"""The error for a body that does not match its type."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.front.conversations.routes import InterruptBody, SessionChange
from youtu_edge.front.dialects.anthropic.request import CountBody, MessagesBody
from youtu_edge.front.dialects.anthropic.routes import MessagesQuery
from youtu_edge.front.dialects.chat.request import ChatBody
from youtu_edge.front.dialects.completions.request import CompletionBody
from youtu_edge.front.dialects.ollama.request import OllamaChatBody, OllamaGenerateBody, OllamaShowBody
from youtu_edge.front.dialects.plain.request import PlainBody
from youtu_edge.front.dialects.responses.items import tidy
from youtu_edge.front.dialects.responses.request import ResponsesBody
from youtu_edge.front.dialects.tokens.request import DetokenizeBody, TemplateBody, TokenizeBody
from youtu_edge.front.http.bodies import decode_body, decode_query
from youtu_edge.front.http.duplicate_keys import check_keys
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}


def refusal(kind: type[msgspec.Struct], body: dict[str, Any]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        decode_body(msgspec.json.encode(body), kind)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "body", "param", "message"),
    [
        (ChatBody, ASKED | {"tool_choice": "maybe"}, "tool_choice", "must be auto or none or required, not 'maybe'"),
        (ChatBody, ASKED | {"tools": [{"type": "x"}]}, "tools[0].type", "must be function, not 'x'"),
        (
            ResponsesBody,
            {"input": "", "text": {"verbosity": "x"}},
            "text.verbosity",
            "must be high or low or medium, not 'x'",
        ),
        (
            ChatBody,
            ASKED | {"response_format": {"type": "yaml"}},
            "response_format.type",
            "must be json_object or json_schema or text, not 'yaml'",
        ),
        (
            MessagesBody,
            {"max_tokens": 1, "messages": [{"role": "robot", "content": ""}]},
            "messages[0].role",
            "must be assistant or system or user, not 'robot'",
        ),
        (
            MessagesBody,
            ASKED | {"max_tokens": 1, "tool_choice": {"type": "maybe"}},
            "tool_choice.type",
            "must be any or auto or none or tool, not 'maybe'",
        ),
    ],
)
def test_a_word_that_does_not_exist_is_answered_with_those_that_do(
    kind: type[msgspec.Struct], body: dict[str, Any], param: str, message: str
) -> None:
    error = refusal(kind, body)
    assert (error.param, str(error)) == (param, f"{param}: {message}")


def test_a_long_wrong_word_is_not_sent_back_whole() -> None:
    assert len(str(refusal(ChatBody, ASKED | {"tool_choice": "x" * 100_000}))) < 200


def test_a_query_parameter_is_refused_in_the_same_way() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_query({"beta": "perhaps"}, MessagesQuery)
    assert str(caught.value).startswith("beta: ")


CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f"}}
CLIENT_TOOL = {"name": "f", "input_schema": {"type": "object"}}

FULL: list[tuple[type[msgspec.Struct], dict[str, Any]]] = [
    (
        ChatBody,
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "x"}]},
                {"role": "assistant", "tool_calls": [CALLED]},
            ],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stream": True,
            "stream_options": {},
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        },
    ),
    (CompletionBody, {"prompt": "x", "response_format": {"type": "text"}}),
    (
        MessagesBody,
        {
            "max_tokens": 1,
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": ""},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            ],
            "tools": [CLIENT_TOOL],
            "tool_choice": {"type": "any"},
            "thinking": {"type": "adaptive"},
            "output_config": {"format": {"type": "json_schema", "schema": {}}},
            "metadata": {},
        },
    ),
    (CountBody, {"messages": [{"role": "user", "content": "x"}]}),
    (
        ResponsesBody,
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "x"},
                {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "x"}]},
            ],
            "tools": [
                {"type": "function", "name": "f"},
                {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "text"}},
            "reasoning": {},
            "stream": True,
            "stream_options": {},
        },
    ),
    (
        OllamaChatBody,
        {
            "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}],
            "tools": [TOOL],
            "options": {"seed": 1},
        },
    ),
    (OllamaGenerateBody, {"prompt": "x", "options": {}}),
    (OllamaShowBody, {"model": "x"}),
    (PlainBody, {"prompt": "x"}),
    (SessionChange, {"title": "x"}),
    (InterruptBody, {"spoken_chars": 1}),
    (TokenizeBody, {"content": "x"}),
    (DetokenizeBody, {"tokens": []}),
    (TemplateBody, {"messages": [{"role": "user", "content": "x"}]}),
]
"""A body of every kind, with every object that may be in one."""


def decode(kind: type[msgspec.Struct], body: dict[str, Any] | bytes) -> msgspec.Struct:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return decode_body(data, kind, tidy=tidy if kind is ResponsesBody else None)


OPAQUE = ("schema", "input_schema", "input", "arguments")
"""What is the client's own."""


def objects(value: Any) -> list[dict[str, Any]]:
    """All objects of a body that have fields of the dialect."""
    if isinstance(value, list):
        return [found for item in value for found in objects(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for name, inner in value.items() if name not in OPAQUE for found in objects(inner))]


@pytest.mark.parametrize(("kind", "body"), FULL, ids=lambda value: getattr(value, "__name__", ""))
def test_a_field_that_is_null_is_absent_in_every_object_and_whatever_its_name(
    kind: type[msgspec.Struct], body: dict[str, Any]
) -> None:
    """Clients write out what they have not set, fields that are younger than this server among them."""
    plain = decode(kind, body)
    nulls = {"not_invented_yet": None, "annotations": None, "include_usage": None, "signature": None, "summary": None}
    with_nulls = json.loads(json.dumps(body))
    for place in objects(with_nulls):
        place.update({name: None for name in nulls if name not in place})
    assert decode(kind, with_nulls) == plain


@pytest.mark.parametrize(("kind", "body"), FULL, ids=lambda value: getattr(value, "__name__", ""))
def test_an_unknown_field_with_a_value_is_still_refused_in_every_object(
    kind: type[msgspec.Struct], body: dict[str, Any]
) -> None:
    for index in range(len(objects(body))):
        wrong = json.loads(json.dumps(body))
        objects(wrong)[index]["not_invented_yet"] = False
        with pytest.raises(UnsupportedParameterError) as caught:
            decode(kind, wrong)
        assert str(caught.value.param).endswith("not_invented_yet")


def test_a_required_field_that_is_null_is_missing() -> None:
    for body, param in (
        ({"messages": None}, "messages"),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role"),
        (ASKED | {"tools": [{"type": "function", "function": None}]}, "tools[0].function"),
    ):
        error = refusal(ChatBody, body)
        assert (error.param, str(error)) == (param, f"{param}: is required")


def test_null_is_a_value_in_what_is_the_clients_own() -> None:
    """Schemas, the input of a tool, variables of a template; and where a list has it."""
    schema = {"enum": [None, 1], "const": None, "properties": {"a": {"default": None}}}
    body = decode(ChatBody, ASKED | {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]})
    assert msgspec.to_builtins(body)["tools"][0]["function"]["parameters"] == schema
    body = decode(ChatBody, ASKED | {"chat_template_kwargs": {"date": None}})
    assert msgspec.to_builtins(body)["chat_template_kwargs"] == {"date": None}
    used = {"type": "tool_use", "id": "t", "name": "f", "input": {"at": None}}
    body = decode(MessagesBody, {"max_tokens": 1, "messages": [{"role": "assistant", "content": [used]}]})
    assert msgspec.to_builtins(body)["messages"][0]["content"][0]["input"] == {"at": None}
    assert refusal(ChatBody, {"messages": [None]}).param == "messages[0]"
    assert refusal(ChatBody, ASKED | {"logit_bias": {"5": None}}).param == "logit_bias"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"messages": [], "messages": []}', "messages"),
        (b'{"temperature": 0, "messages": [], "temperature": 0}', "temperature"),
        (b'{"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "a", "content": "b"}]}',
         "messages[1].content"),
        (b'{"messages": [], "tools": [{"function": {"parameters": {"type": 1, "type": 2}}}]}',
         "tools[0].function.parameters.type"),
        (b'{"messages": [], "a:b": 1, "a\\u003ab": 2}', "a:b"),
        (b'{"messages": [{"content": "\\u003a\\u003A"}], "n": 1, "n": 2, "user": ":"}', "n"),
        (b'{"messages": null, "messages": null}', "messages"),
        (b'{"n": {"x": 1, "x": 2}, "n": 3}', "n"),
        (b'{"n": ' + b"9" * 30 + b', "n": 3}', "n"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)  # fmt: skip
def test_a_key_that_is_there_twice_is_refused_by_name(body: bytes, param: str) -> None:
    """The last one would win silently; colons inside strings, escaped ones too, hide nothing."""
    with pytest.raises(InvalidRequestError) as caught:
        decode(ChatBody, body)
    assert (caught.value.param, str(caught.value)) == (param, f"{param}: duplicate key; send it once")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(alphabet=':"\\{}\u003a0u3aA,中'),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet=':"\\u03a'), inner, max_size=4),
    ),
    st.booleans(),
)
def test_a_body_without_duplicate_keys_never_seems_to_have_some(value: Any, escapes: bool) -> None:
    """However it is written: with escapes, and with colons in keys and strings."""
    data = json.dumps({"value": value}, ensure_ascii=escapes)
    for text in (data, data.replace(":", ":  "), _escaped(data)):
        check_keys(text.encode(), msgspec.json.decode(text))


def _escaped(text: str) -> str:
    """The same document with the colons inside of its strings written as escapes."""
    return "".join(
        part.replace(":", r"\u003a") if index % 2 else part
        for index, part in enumerate(re.split(r'("(?:[^"\\]|\\.)*")', text))
    )


def test_a_body_that_is_nested_too_deeply_is_a_400() -> None:
    """Whatever it is made of, and at which of its checks it is found."""
    for depth in (500, 900, 980, 995, 1000, 100_000):
        for begin, end in (("[", "]"), ('{"a":', "}"), ('{"\\u003a":', "}")):
            with pytest.raises(InvalidRequestError):
                decode(ChatBody, f'{{"messages": {begin * depth}1{end * depth}}}'.encode())
