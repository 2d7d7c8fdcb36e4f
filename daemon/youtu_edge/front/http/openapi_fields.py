"""Describes in the OpenAPI document which fields of a body are ignored or rejected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from youtu_edge.front.http.field_table import ITEMS, FieldTable, Hint

_IGNORED = "Ignored: it changes no answer"


def describe_others(others: FieldTable, body: dict[str, Any], components: dict[str, Any]) -> None:
    """Add the fields of the table to the schemas in `components` that `body`, the schema of a body, refers to."""
    for path, field in others.items():
        *place, name = path.replace(ITEMS, "").split(".")
        for schema in _objects([body], place, components):
            given = schema["properties"].get(name)
            if isinstance(field, Hint):
                schema["properties"][name] = {**(given or {}), "description": _IGNORED}
            elif field.harmless:
                schema["properties"][name] = {"enum": [*field.harmless, None]}


def _objects(schemas: list[dict[str, Any]], place: list[str], components: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of the objects at a path."""
    found = [each for schema in schemas for each in _resolved(schema, components) if "properties" in each]
    if not place:
        return found
    inner = [each["properties"][place[0]] for each in found if place[0] in each["properties"]]
    return _objects(inner, place[1:], components)


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema with its references followed, its alternatives and the items of its lists."""
    if "$ref" in schema:
        yield from _resolved(components[schema["$ref"].rpartition("/")[2]], components)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _resolved(each, components)
    elif "items" in schema:
        yield from _resolved(schema["items"], components)
    else:
        yield schema
