"""Paths in a JSON document, such as `messages[0].role`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_NAME = 100
"""Characters of a client's text that are echoed in an error."""


def short(text: str) -> str:
    """A client's text, truncated for an error."""
    return text if len(text) <= MAX_NAME else text[:MAX_NAME] + "…"


def join(where: str, name: str) -> str:
    """The field `name` of the object at `where`; the document itself is at ""."""
    return f"{where}.{short(name)}" if where else short(name)


def walk(document: Any) -> Iterator[tuple[str, Any]]:
    """Every value inside a decoded document with its path, objects and lists before their contents."""
    open_values = [("", document)]
    for where, value in open_values:
        yield where, value
        if isinstance(value, dict):
            open_values += [(join(where, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            open_values += [(f"{where}[{index}]", inner) for index, inner in enumerate(value)]
