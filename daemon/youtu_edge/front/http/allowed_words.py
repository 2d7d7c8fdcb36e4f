"""Which words a field of a request may hold, and which fields an object may have, found in the types of its body."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import inspect

_type_info = functools.cache(inspect.type_info)
_PART = re.compile(r"[^.\[\]]+|\[\d+\]")


def allowed_words(kind: type[msgspec.Struct], path: str) -> list[str]:
    """The values of the Literal, or the tags of the union, at `path` such as "messages[0].role"; empty if it is neither."""
    parts = _PART.findall(path)
    words = [
        str(each.tag)
        for each in _types_at(kind, parts[:-1])
        if isinstance(each, inspect.StructType) and each.tag_field in parts[-1:]
    ]
    for each in _types_at(kind, parts):
        words += [str(value) for value in each.values] if isinstance(each, inspect.LiteralType) else []
    return sorted(set(words))


def field_names(kind: type[msgspec.Struct], path: str) -> set[str]:
    """The fields that the objects at `path` may have; of a union those of all its structs. "" is the body itself."""
    structs = [each for each in _types_at(kind, _PART.findall(path)) if isinstance(each, inspect.StructType)]
    return {field.encode_name for struct in structs for field in struct.fields}


def _types_at(kind: type[msgspec.Struct], parts: Iterable[str]) -> list[inspect.Type]:
    types = list(_alternatives([_type_info(kind)]))
    for part in parts:
        types = list(_alternatives(found for each in types for found in _inside(each, part)))
    return types


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
