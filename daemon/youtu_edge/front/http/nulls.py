"""Null means absent: removes null fields from a request.

Clients send fields that are not set as null, even fields newer than this server; a null field has no effect, whatever its
name. The client's data (a schema, the input of a tool, variables of a template) is left unchanged: null is a value there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect


class _Shape(msgspec.Struct):
    """Which parts of a value are described by structs: its fields, by the tag of the struct, and the items of a list."""

    tag_field: str | None = None
    fields: dict[Any, dict[str, _Shape]] = {}
    items: _Shape | None = None

    def fields_of(self, value: dict[str, Any]) -> dict[str, _Shape] | None:
        """The fields of an object that have a shape; None if no struct describes it."""
        tag = None if self.tag_field is None else value.get(self.tag_field)
        if tag is None and len(self.fields) == 1:  # a single struct needs no tag
            (only,) = self.fields.values()
            return only
        return self.fields.get(tag) if isinstance(tag, str) else None


def drop_nulls(values: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Remove null fields from `values`, which will be converted to `kind`, and from the structs inside."""
    shape = _shape_of(kind)
    assert shape is not None, "a struct has a shape"
    _drop(values, shape)


def _drop(value: Any, shape: _Shape) -> None:
    if isinstance(value, dict):
        fields = shape.fields_of(value)
        if fields is None:
            return
        if None in value.values():
            for name in [name for name, inner in value.items() if inner is None]:
                del value[name]
        for name, inner_shape in fields.items():
            inner = value.get(name)
            if isinstance(inner, (dict, list)):
                _drop(inner, inner_shape)
    elif isinstance(value, list) and shape.items is not None:
        for item in value:
            _drop(item, shape.items)


@functools.cache
def _shape_of(kind: type[msgspec.Struct]) -> _Shape | None:
    return _shape(inspect.type_info(kind))


def _shape(kind: inspect.Type) -> _Shape | None:
    """The shape of a type; None if there is no struct in it."""
    shape, is_empty = _Shape(), True
    for each in _alternatives(kind):
        if isinstance(each, inspect.StructType):
            inner = {field.encode_name: _shape(field.type) for field in each.fields}
            shape.tag_field = each.tag_field
            shape.fields = {**shape.fields, each.tag: {name: found for name, found in inner.items() if found is not None}}
            is_empty = False
        elif isinstance(each, inspect.ListType) and (items := _shape(each.item_type)) is not None:
            shape.items = items
            is_empty = False
    return None if is_empty else shape


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _alternatives(each)
    else:
        yield kind
