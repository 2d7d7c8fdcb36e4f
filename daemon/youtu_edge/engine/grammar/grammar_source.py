"""Grammars of answers and tool calls as llguidance reads them.

A tool call is one line, as the models were taught to write it:

    <tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>

JSON is one line, with at most one blank behind a comma or colon: where white space is free, small models fall into writing
it for ever, and every blank costs a token.
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
"""Begins every document. Where only one text can follow, llguidance would work it out to its end and tokenise it, before
every token and whatever its length; without that a token costs milliseconds and a few megabytes at the most."""

Part = dict[str, Any]
"""One grammar of a document: a Lark text or a JSON schema, with a name if others refer to it."""


class GrammarSources(msgspec.Struct, frozen=True, omit_defaults=True):
    """The grammars of one request: see `answer_source` and `call_source`. `param` is its field that binds the answer."""

    answer: str | None = None
    call: str | None = None
    param: str = "tools"


def answer_source(request: Submit) -> str | None:
    """What the whole answer must be; None where it is free. Raises InvalidRequestError."""
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
    """What must follow <tool_call> in an answer that is otherwise free; None where nothing can follow."""
    if not request.tools or answer_source(request) is not None:
        return None
    rules, parts = _calls(request)
    return _document(f"start: call\n{rules}", parts)


def schema_source(schema: dict[str, Any]) -> str:
    """A JSON schema alone, to find out whether it can be compiled."""
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
    """The main grammar, and the parts that its rules name."""
    return json.dumps({"grammars": [{"lark_grammar": _NOT_FORCED + rules}, *parts]})


def _quote(text: str) -> str:
    return json.dumps(text)
