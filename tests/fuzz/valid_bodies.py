"""Valid bodies of a route, made from its schema in the daemon's own OpenAPI document, so that no field is forgotten.

A schema cannot say everything (that a regex compiles, that a role is one of the template's): for names of fields that need
sense, `SENSE` has values. A field that nobody thought of here is filled as its schema says.
"""

from __future__ import annotations

import copy
import random
from typing import Any

Json = Any
ANYTHING: tuple[Json, ...] = (None, True, 0, -1.5, "", "text", [], {}, [1, "a"], {"a": {"b": [1]}})
WORDS = ("river", "stone", "light", "garden", "window", "夜", "machine", "ночь", "über")
LONG_MAX_TOKENS = 1500
USUAL = ("content",)
"""Fields that hardly a client leaves out, though the schema lets it."""
SCHEMAS: tuple[Json, ...] = (
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
    {"type": "array", "items": {"type": "number"}, "maxItems": 5},
    {"enum": ["yes", "no", 3, None]},
    {"anyOf": [{"type": "string", "pattern": "^[a-z]{2,8}$"}, {"type": "boolean"}]},
)
GRAMMARS = ('start: "yes" | "no"', "start: NUMBER\nNUMBER: /[0-9]+/", 'start: item+\nitem: "a" | "b" item')
REGEXES = ("[a-z ]{3,20}", "yes|no", r"\d{4}-\d{2}", "(ab|cd)*e")


def sentence(chance: random.Random, most: int = 12) -> str:
    """A few words."""
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, most)))


def sense(name: str, chance: random.Random) -> Json:
    """A value of a field that a schema describes only in part; None: the schema says enough."""
    fixed: dict[str, tuple[Json, ...]] = {
        "model": ("default",),
        "role": (*["user"] * 8, "assistant", "system", "tool"),
        "regex": REGEXES,
        "grammar": GRAMMARS,
        "schema": SCHEMAS,
        "parameters": SCHEMAS[:1],
        "input_schema": SCHEMAS[:1],
        "arguments": ('{"city": "Rome"}',),
        "input": (None, None, {"city": "Rome"}),
        "name": ("weather",),
        "type": ("text",),
        "tool_call_id": ("c1",),
        "call_id": ("c1",),
        "chat_template_kwargs": ({}, {"enable_thinking": False}),
        "session_id": tuple(f"s{index}" for index in range(6)),
        "n": (1, 1, 2, 3, 16),
        "seed": (0, 7),
        "stop": (["\n\n", "river"], "stone"),
        "logit_bias": ({str(chance.randint(0, 49000)): chance.choice((-100, 5, 100)) for _ in range(3)},),
    }
    if name in fixed:
        return copy.deepcopy(chance.choice(fixed[name]))
    if name.startswith("max_") and "tokens" in name:
        return chance.choice((1, 4, 8, 16, 40, 40, LONG_MAX_TOKENS) if chance.random() < 0.2 else (4, 8, 16))
    return None


class ValidBodies:
    """Draws bodies; `components` are the document's schemas."""

    def __init__(self, components: dict[str, Json]) -> None:
        self._components = components

    def draw(self, schema: Json, chance: random.Random, *, optional: float = 0.12) -> Json:
        """A body; every optional field is there with the probability `optional`."""
        body = self._value(schema, chance, optional, "", 0)
        _make_sense(body, chance)
        return body

    def _value(self, schema: Json, chance: random.Random, optional: float, name: str, depth: int) -> Json:
        if "$ref" in schema:
            schema = self._components[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
            return self._value(chance.choice(kinds), chance, optional, name, depth) if kinds else None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return chance.choice(schema["enum"])
        found = sense(name, chance)
        if found is not None and _fits(found, schema.get("type")):
            return found
        match schema.get("type"):
            case "object":
                return self._object(schema, chance, optional, depth)
            case "array":
                return self._array(schema, chance, optional, name, depth)
            case "string":
                return _string(schema, chance)
            case "integer":
                least = max(schema.get("minimum", -5), -5)
                return chance.randint(least, max(least, min(schema.get("maximum", 50), 50)))
            case "number":
                return round(chance.uniform(schema.get("minimum", 0.05), schema.get("maximum", 1)), 3)
            case "boolean":
                return chance.random() < 0.5
            case "null":
                return None
        return copy.deepcopy(chance.choice(ANYTHING))

    def _object(self, schema: Json, chance: random.Random, optional: float, depth: int) -> Json:
        required = schema.get("required", ())
        taken = {
            name: kind
            for name, kind in schema.get("properties", {}).items()
            if name in required or name in USUAL or (depth < 6 and chance.random() < optional)
        }
        return {name: self._value(kind, chance, optional, name, depth + 1) for name, kind in taken.items()}

    def _array(self, schema: Json, chance: random.Random, optional: float, name: str, depth: int) -> Json:
        least = schema.get("minItems", 0)
        size = chance.randint(least, max(least, min(schema.get("maxItems", 3), 3)))
        return [self._value(schema.get("items", {}), chance, optional, name, depth + 1) for _ in range(size)]


_OF_ASSISTANTS = ("tool_calls", "reasoning_content", "refusal", "annotations", "parsed")


def _make_sense(value: Json, chance: random.Random) -> None:
    """What depends on another field: mostly a valid body is wanted, and `mutations` is for the others."""
    if isinstance(value, list):
        for inner in value:
            _make_sense(inner, chance)
    if not isinstance(value, dict):
        return
    if chance.random() < 0.9:
        if value.get("role") not in ("assistant", None):
            for name in _OF_ASSISTANTS:
                value.pop(name, None)
        if "role" in value and value["role"] != "tool":
            value.pop("tool_call_id", None)
        if "tools" not in value:
            value.pop("tool_choice", None)
        for name in [name for name in ("response_format", "regex", "grammar", "tools") if name in value][1:]:
            del value[name]
    for inner in value.values():
        _make_sense(inner, chance)


def _fits(value: Json, kind: str | None) -> bool:
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict}
    return kind is None or (kind in kinds and isinstance(value, kinds[kind]))  # type: ignore[arg-type]


def _string(schema: Json, chance: random.Random) -> str:
    if "pattern" in schema:
        return f"x{chance.randint(0, 99)}"
    return sentence(chance)[: schema.get("maxLength", 200)]
