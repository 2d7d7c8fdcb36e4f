"""Grammars of answers and tool calls as llguidance reads them. Pure text: knows no token and no state.

A tool call is one line, as the models were taught to write it:

    <tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>

JSON is one line, with at most one blank behind a comma or colon: where white space is free, small models fall into writing
it for ever, and every blank costs a token.
"""

from __future__ import annotations

import json
from typing import Any

from llguidance import LLMatcher

from youtu_edge.errors import InvalidRequestError
from youtu_edge.protocol import Grammar, JsonObject, JsonSchema, Lark, Regex, Submit

CALL_BEGIN, CALL_END = "<tool_call>", "</tool_call>"

_JSON_OPTIONS = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
_NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}

Part = dict[str, Any]
"""One grammar of a document: a Lark text or a JSON schema, with a name if others refer to it."""


def answer_source(request: Submit) -> str | None:
    """What the whole answer must be; None where it is free. Raises InvalidRequestError."""
    calls = _calls(request) if request.must_call else []
    if calls:
        return _document("start: calls\n", calls)
    if request.grammar is None:
        return None
    answer = _part(request.grammar)
    if not request.tools:
        return json.dumps({"grammars": [answer]})
    return _document("start: @answer | calls\n", [*_calls(request), {**answer, "name": "answer"}])


def call_source(request: Submit) -> str | None:
    """What must follow <tool_call> in an answer that is otherwise free; None where nothing can follow."""
    if not request.tools or answer_source(request) is not None:
        return None
    return _document("start: call\n", _calls(request))


def schema_source(schema: dict[str, Any]) -> str:
    """A JSON schema alone, to find out whether it can be compiled."""
    return json.dumps({"grammars": [_json(schema)]})


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


def _calls(request: Submit) -> list[Part]:
    """The rules `calls`, `call` and one for each tool that may be called; the first part continues the main grammar."""
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
    return [{"lark_grammar": "\n".join(rules)}, *parts]


def _document(start: str, parts: list[Part]) -> str:
    return json.dumps({"grammars": [{"lark_grammar": start + parts[0]["lark_grammar"]}, *parts[1:]]})


def _quote(text: str) -> str:
    return json.dumps(text)
