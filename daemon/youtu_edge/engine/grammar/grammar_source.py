"""Grammars of answers and tool calls in llguidance's format.

A tool call is one line, in the form that the model was trained to write (tool_formats):

    <tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>

JSON is one line, with at most one space after a comma or colon: with free white space, small models tend to emit it without
end, and every space costs a token.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from llguidance import LLMatcher

from youtu_edge.engine.grammar.keyword_grammar import keyword_rules
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema, Lark, Regex, Submit
from youtu_edge.request_errors import InvalidRequestError
from youtu_edge.tool_formats import HERMES, ToolFormat

_JSON_OPTIONS = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
_NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}

_NOT_FORCED = '%llguidance {"no_forcing": true}\n'
"""The beginning of every document. With forcing, llguidance expands and tokenises the whole text wherever only one can
follow, before every token and without a limit; without it, a token costs milliseconds and a few megabytes at most."""

Part = dict[str, Any]
"""One grammar of a document: a Lark text or a JSON schema, with a name if others refer to it."""


class GrammarSources(msgspec.Struct, frozen=True, omit_defaults=True):
    """The grammars of one request: see `answer_source` and `call_source`. `param` is the field that they come from,
    `tool_format` the form of calls."""

    answer: str | None = None
    call: str | None = None
    param: str = "tools"
    tool_format: str = HERMES.name


def answer_source(request: Submit, form: ToolFormat = HERMES) -> str | None:
    """The grammar of the whole answer; None if it is free. Raises InvalidRequestError."""
    if request.must_call:
        rules, parts = _calls(request, form)
        return _document(f"start: calls\n{rules}", parts)
    if request.grammar is None:
        return None
    answer = {**_part(request.grammar), "name": "answer"}
    if not request.tools:
        return _document("start: @answer", [answer])
    rules, parts = _calls(request, form)
    return _document(f"start: @answer | calls\n{rules}", [*parts, answer])


def call_source(request: Submit, form: ToolFormat = HERMES) -> str | None:
    """The grammar after the beginning of a call in an otherwise free answer; None if calls are not possible there."""
    if not request.tools or answer_source(request, form) is not None:
        return None
    rules, parts = _calls(request, form)
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


def _calls(request: Submit, form: ToolFormat) -> tuple[str, list[Part]]:
    """The rules `calls`, `call` and one for each tool that may be called, and the grammars of their arguments."""
    offered = [tool for tool in request.tools if not request.must_call or tool["function"]["name"] in request.must_call]
    begin, is_parallel = _quote(form.begin), request.parallel_tool_calls
    one = f"({' | '.join(f'tool_{index}' for index in range(len(offered)))})"
    end = f" {_quote(form.end)}" if form.end else ""
    more = f" (/\\n?/ {begin} call)*" if is_parallel and form.may_repeat else ""
    if listed := form.calls:
        others = f" (/{listed.between_pattern}/ {one})*" if is_parallel else ""
        call = f"/{listed.begin_pattern}/ {one}{others} /{listed.end_pattern}/{end}"
    else:
        call = f"/\\n?/ {one} /\\n?/{end}" if end else one
    rules = [f"calls: {begin} call{more}", f"call: {call}"]
    parts: list[Part] = []

    def refer(schema: dict[str, Any]) -> str:
        parts.append({**_json(schema), "name": f"value_{len(parts)}"})
        return f"@value_{len(parts) - 1}"

    for index, tool in enumerate(offered):
        head, closing = f"{form.opening}{tool['function']['name']}{form.middle}", form.closing
        arguments, parameters = f"arguments_{index}", parameters_of(tool)
        if form.has_keywords:
            rules += keyword_rules(arguments, parameters, refer)
        else:
            rules.append(f"{arguments}: {refer(parameters)}")
        rules.append(f"tool_{index}: {_quote(head)} {arguments}{f' {_quote(closing)}' if closing else ''}")
    return "\n".join(rules), parts


def _document(rules: str, parts: list[Part]) -> str:
    """The main grammar and the parts that its rules refer to, as llguidance's JSON."""
    return json.dumps({"grammars": [{"lark_grammar": _NOT_FORCED + rules}, *parts]})


def _quote(text: str) -> str:
    return json.dumps(text)
