"""Grammars of answers and tool calls in llguidance's format.

A tool call is one line, as the models were trained to write it:

    <tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>

JSON is one line, with at most one space after a comma or colon: with free white space, small models tend to emit it without
end, and every space costs a token.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from llguidance import LLMatcher

from youtu_edge.protocol.tags import CALL_BEGIN, CALL_END
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema, Lark, Regex, Submit
from youtu_edge.request_errors import InvalidRequestError

_JSON_OPTIONS = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
_NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}

_NOT_FORCED = '%llguidance {"no_forcing": true}\n'
"""The beginning of every document. With forcing, llguidance expands and tokenises the whole text wherever only one can
follow, before every token and without a limit; without it, a token costs milliseconds and a few megabytes at most."""

Part = dict[str, Any]
"""One grammar of a document: a Lark text or a JSON schema, with a name if others refer to it."""


class GrammarSources(msgspec.Struct, frozen=True, omit_defaults=True):
    """The grammars of one request: see `answer_source` and `call_source`. `param` is the field that they come from."""

    answer: str | None = None
    call: str | None = None
    param: str = "tools"


def answer_source(request: Submit) -> str | None:
    """The grammar of the whole answer; None if it is free. Raises InvalidRequestError."""
    if request.must_call:
        rules, parts = _calls(request)
        return _document(f"start: calls\n{rules}", parts)
    if request.grammar is None:
        return None
    answer = {**_part(request.grammar), "name": "answer"}
    if not request.tools:
        return _document("start: @answer", [answer])
    rules, parts = _calls(request)
    return _document(f"start: @answer | calls\n{rules}", [*parts, answer])


def call_source(request: Submit) -> str | None:
    """The grammar after <tool_call> in an otherwise free answer; None if calls are not possible there."""
    if not request.tools or answer_source(request) is not None:
        return None
    rules, parts = _calls(request)
    return _document(f"start: call\n{rules}", parts)


def schema_source(schema: dict[str, Any]) -> str:
    """The grammar of a JSON schema alone, to test whether it compiles."""
    return _document("start: @answer", [{**_json(schema), "name": "answer"}])


def parameters_of(tool: dict[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments."""
    return tool["function"].get("parameters") or _NO_PARAMETERS


def _part(grammar: Grammar) -> Part:
    if isinstance(grammar, JsonObject):
        return _json({"type": "object"})
    if isinstance(grammar, JsonSchema):
        if grammar.schema is False:
            raise InvalidRequestError(f"{grammar.param}: the schema `false` allows no answer", param=grammar.param)
        return _json({} if grammar.schema is True else grammar.schema)
    if isinstance(grammar, Regex):
        return json.loads(LLMatcher.grammar_from_regex(grammar.pattern))["grammars"][0]  # type: ignore[no-any-return]
    assert isinstance(grammar, Lark), grammar
    return {"lark_grammar": grammar.source}


def _json(schema: dict[str, Any]) -> Part:
    return {"json_schema": {**schema, "x-guidance": _JSON_OPTIONS}}


def _calls(request: Submit) -> tuple[str, list[Part]]:
    """The rules `calls`, `call` and one for each tool that may be called, and the grammars of their arguments."""
    offered = [tool for tool in request.tools if not request.must_call or tool["function"]["name"] in request.must_call]
    begin, end = _quote(CALL_BEGIN), _quote(CALL_END)
    more = f" (/\\n?/ {begin} call)*" if request.parallel_tool_calls else ""
    rules = [
        f"calls: {begin} call{more}",
        f"call: /\\n?/ ({' | '.join(f'tool_{index}' for index in range(len(offered)))}) /\\n?/ {end}",
    ]
    parts: list[Part] = []
    for index, tool in enumerate(offered):
        head = f'{{"name": {json.dumps(tool["function"]["name"])}, "arguments": '
        rules.append(f"tool_{index}: {_quote(head)} @arguments_{index} {_quote('}')}")
        parts.append({**_json(parameters_of(tool)), "name": f"arguments_{index}"})
    return "\n".join(rules), parts


def _document(rules: str, parts: list[Part]) -> str:
    """The main grammar and the parts that its rules refer to, as llguidance's JSON."""
    return json.dumps({"grammars": [{"lark_grammar": _NOT_FORCED + rules}, *parts]})


def _quote(text: str) -> str:
    return json.dumps(text)
