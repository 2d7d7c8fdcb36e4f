"""An exception of the template, tokenizer or grammar compiler fails only the request that caused it."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest

from tiny_model import CHAT_TEMPLATE, make_tokenizer
from youtu_edge.engine.incoming import Incoming, IncomingQuery, IncomingSubmit, incoming, read
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.text_work import Prepared, TextWork
from youtu_edge.protocol.from_engine import Failed, Reply
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import (
    Detokenize,
    Grammar,
    JsonSchema,
    Lark,
    Query,
    Regex,
    Render,
    SamplingParams,
    Submit,
    Tokenize,
    TokenizerQuery,
)

DUMPS_TOOLS = "{% if tools %}{{ tools | tojson(indent=4) }}{% endif %}" + CHAT_TEMPLATE
HELLO = [ChatMessage("user", "hello")]


def work(template: str | None = CHAT_TEMPLATE, tokenizer: Any = None) -> TextWork:
    tokenizer = tokenizer or make_tokenizer()
    return TextWork(tokenizer, Prompter(tokenizer, template), tokenizer.get_vocab_size(), is_bounded=False)


def chat(**more: Any) -> IncomingSubmit:
    return incoming(Submit("r", SamplingParams(), 5, **({"messages": HELLO} | more)))


def ask(question: TokenizerQuery) -> Incoming:
    return read(msgspec.msgpack.encode(Query("r", question)))


def nested(depth: int, leaf: Any = None) -> dict[str, Any]:
    """An object in an object in an object."""
    return functools.reduce(lambda inner, _: {"properties": inner}, range(depth), leaf or {"type": "object"})


def tool(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


@pytest.mark.parametrize(
    "fault",
    [
        "1 // 0",
        "1 % 0",
        "10.0 ** 1000",
        "messages[7].content.x",
        "messages[0].content.a.b",
        "messages | sum",
        "'a' * 10 ** 15",
        "range(10 ** 9)",
        "'%d' | format('x')",
        "'{0.__class__}' .format(1)",
        "raise_exception('no')",
        "messages[0]['content'] | int(base='x')",
        "strftime_now(1)",
        "('x' * 300) | tojson(indent=-1) | batch(0) | list",
    ],
)
def test_whatever_a_template_raises_is_the_requests_own_error(fault: str) -> None:
    """In a request and in a question; another request is served by the same process."""
    template = f"{{% if messages[0]['content'] == 'bad' %}}{{{{ {fault} }}}}{{% endif %}}{CHAT_TEMPLATE}"
    texts, bad = work(template), [ChatMessage("user", "bad")]
    for failed in (texts.do(chat(messages=bad), ()), texts.do(ask(Render(bad)), ())):  # type: ignore[arg-type]
        if isinstance(failed, Failed):  # some are valid in Jinja
            assert (failed.id, failed.code, failed.param) == ("r", "invalid_request", "messages")
            assert "\n" not in failed.message
    assert isinstance(texts.do(chat(), ()), Prepared)


@pytest.mark.parametrize("depth", [50, 200, 400, 700, 900])
def test_depth_is_no_danger(depth: int) -> None:
    """Tools, arguments of earlier calls, variables of the template, schemas: served, or refused by name."""
    texts = work(DUMPS_TOOLS)
    for request in (
        chat(tools=[tool(nested(depth))]),
        chat(template_kwargs={"tools_of_mine": nested(depth)}),
        chat(grammar=JsonSchema("response_format", nested(depth))),
        chat(grammar=Regex("regex", "(" * depth + "a" + ")" * depth)),
        chat(grammar=Lark("grammar", "start: " + "(" * depth + '"a"' + ")" * depth)),
    ):
        found = texts.do(request, ())
        assert isinstance(found, Prepared) or (
            isinstance(found, Failed) and found.code == "invalid_request" and found.param
        )
    assert isinstance(texts.do(ask(Render(HELLO, tools=[tool(nested(depth))])), ()), Reply | Failed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "grammar",
    [
        Lark("grammar", "start: @answer"),
        Lark("grammar", "start: <unknown>"),
        Lark("grammar", "start: %json {"),
        Lark("grammar", "%llguidance {"),
        Lark("grammar", "start: <[99999999]>"),
        Lark("grammar", ""),
        Regex("regex", "\\p{Nonsense}"),
        Regex("regex", "a{99999999999}"),
        JsonSchema("response_format", {"$ref": "#"}),
        JsonSchema("response_format", {"$ref": "file:///etc/passwd"}),
        JsonSchema("response_format", {"type": "string", "pattern": "("}),
        JsonSchema("response_format", {"minimum": 1e308, "maximum": -1e308, "type": "number"}),
        JsonSchema("response_format", {"multipleOf": 0, "type": "integer"}),
        JsonSchema("response_format", {"enum": []}),
        JsonSchema("response_format", {"x-guidance": 5}),
    ],
)
def test_a_senseless_grammar_is_refused_or_served(grammar: Grammar) -> None:
    found = work().do(chat(grammar=grammar), ())
    assert isinstance(found, Prepared) or (found.code, found.param) == ("invalid_request", grammar.param)  # type: ignore[union-attr]


def test_questions_fail_by_the_name_of_their_field() -> None:
    texts = work(template=None)
    for question, field in ((Detokenize([5, 10**9]), "tokens[1]"), (Render(HELLO), "messages")):
        failed = texts.do(ask(question), ())  # type: ignore[arg-type]
        assert isinstance(failed, Failed)
        assert failed.param == field
    assert isinstance(texts.do(ask(Tokenize("hello", add_special=False)), ()), Reply)  # type: ignore[arg-type]


def test_what_cannot_be_read_is_refused() -> None:
    """The engine itself reads no text: it is for a worker to find that there is none."""
    body = msgspec.msgpack.encode(
        {"t": "submit", "id": "r", "sampling": {}, "max_new_tokens": 5, "messages": [{"role": 5}]}
    )
    request = read(body)
    assert isinstance(request, IncomingSubmit)
    failed = work().do(request, ())
    assert isinstance(failed, Failed)
    assert (failed.id, failed.code, failed.param) == ("r", "invalid_request", "messages")
    assert isinstance(read(msgspec.msgpack.encode(Query("r", Detokenize([1])))), IncomingQuery)
