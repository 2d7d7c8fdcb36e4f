"""Which words a field of a request may hold, found in the types of its body."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import inspect

_PART = re.compile(r"[^.\[\]]+|\[\d+\]")


def allowed_words(kind: type[msgspec.Struct], path: str) -> list[str]:
    """The values of the Literal, or the tags of the union, at `path` such as "messages[0].role"; empty if it is neither."""
    words: list[str] = []
    types = [inspect.type_info(kind)]
    for part in _PART.findall(path):
        alternatives = list(_alternatives(types))
        words = [str(each.tag) for each in alternatives if isinstance(each, inspect.StructType) and each.tag_field == part]
        types = [found for each in alternatives for found in _inside(each, part)]
    words += [str(value) for each in _alternatives(types) if isinstance(each, inspect.LiteralType) for value in each.values]
    return sorted(set(words))


def _alternatives(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        if isinstance(each, inspect.Metadata):
            yield from _alternatives([each.type])
        elif isinstance(each, inspect.UnionType):
            yield from _alternatives(each.types)
        else:
            yield each


def _inside(kind: inspect.Type, part: str) -> Iterator[inspect.Type]:
    """What `part`, a name or an index in brackets, leads to."""
    if isinstance(kind, inspect.StructType):
        yield from (field.type for field in kind.fields if field.encode_name == part)
    elif isinstance(kind, inspect.ListType) and part.startswith("["):
        yield kind.item_type
