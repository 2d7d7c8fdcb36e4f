"""The grammar of a tool's arguments as keyword arguments of a call in Python, from their JSON schema.

True, False and None may be Python's or JSON's; strings, lists and dictionaries are those of JSON. Where a schema allows
what cannot be written as keywords, the arguments are one dictionary: **{"a key": 1}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from youtu_edge.keyword_arguments import is_keyword, literal

Schema = dict[str, Any]
Refer = Callable[[Schema], str]
"""Adds the grammar of a JSON value; returns the reference to it for a rule."""

_NOTES = frozenset({"title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment"})
_DEFINITIONS = ("$defs", "definitions")
_SHARED = tuple(f"#/{key}/" for key in _DEFINITIONS)
_OBJECT = _NOTES | {*_DEFINITIONS, "type", "properties", "required", "additionalProperties"}
_MAX_WORDS = 200
"""Values of an enumeration that are alternatives of a rule: the parser follows all of them at once."""
_WORDS = {"boolean": '("True" | "False" | "true" | "false")', "null": '("None" | "null")'}


def keyword_rules(name: str, schema: Schema, refer: Refer) -> list[str]:
    """Rules of Lark, of which that called `name` is the text between the parentheses.

    Properties come in the schema's order. Without `additionalProperties` there are no others: a function has the parameters
    that its definition names.
    """
    if not _has_keywords(schema):
        return [f'{name}: "**" {refer(schema)}']
    properties = {key: value for key, value in (schema.get("properties") or {}).items() if value is not False}
    shared = {key: schema[key] for key in _DEFINITIONS if key in schema}
    required = set(schema.get("required") or ())
    arguments = [
        (f"{json.dumps(f'{key}=')} {_value(value, shared, refer)}", key in required) for key, value in properties.items()
    ]
    return _rules(name, arguments)


def _rules(name: str, arguments: list[tuple[str, bool]]) -> list[str]:
    """A rule for each place in the list as long as nothing is written, and one (`more`) for it behind other arguments."""
    rules = []
    for index, (argument, is_required) in enumerate(arguments):
        this, following = (f"{name}{f'_{place}' if place else ''}" for place in (index, index + 1))
        more = f"{name}_more_{index + 1}"
        rules.append(f"{this}: {argument} {more}{'' if is_required else f' | {following}'}")
        if index:
            later = f"/, ?/ {argument}"
            rules.append(f"{name}_more_{index}: {later if is_required else f'({later})?'} {more}")
    count = len(arguments)
    return [*rules, f'{name}{f"_{count}" if count else ""}: ""', *([f'{name}_more_{count}: ""'] if count else [])]


def _has_keywords(schema: Schema) -> bool:
    """Whether keywords can say all that the schema allows or demands."""
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    return (
        schema.keys() <= _OBJECT
        and schema.get("type", "object") == "object"
        and not schema.get("additionalProperties")
        and isinstance(properties, dict)
        and all(is_keyword(key) and isinstance(value, dict | bool) for key, value in properties.items())
        and isinstance(required, list)
        and all(isinstance(key, str) and properties.get(key, False) is not False for key in required)
        and _refers_to_shared(schema)
    )


def _value(schema: Schema | bool, shared: Schema, refer: Refer) -> str:
    """The expression of one value. True allows all."""
    if isinstance(schema, bool):
        return refer({})
    kind, rest = schema.get("type"), schema.keys() - _NOTES - {"type"}
    if not rest and isinstance(kind, str) and kind in _WORDS:
        return _WORDS[kind]
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if kind is None and len(rest) == 1 and isinstance(values, list) and _are_words(values):
        texts = {text: None for value in values for text in (literal(value), json.dumps(value, ensure_ascii=False))}
        return f"({' | '.join(map(json.dumps, texts))})"
    return refer({**schema, **shared})


def _are_words(values: list[Any]) -> bool:
    return 0 < len(values) <= _MAX_WORDS and not any(isinstance(value, list | dict) for value in values)


def _refers_to_shared(schema: Schema) -> bool:
    """Whether all references are to definitions, which a value takes along; "#" is another schema for a value."""
    left: list[Any] = [schema]
    while left:
        match left.pop():
            case {"$ref": str(place)} if not place.startswith(_SHARED):
                return False
            case dict() as found:
                left += found.values()
            case list() as found:
                left += found
    return True
