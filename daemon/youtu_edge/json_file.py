"""Untrusted JSON, read within bounds.

Stricter than Python's `json`: no duplicate keys in an object, no NaN or Infinity, and no lone surrogates, which cannot be
written to any file. Size, depth and the number of values are limited.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from youtu_edge.regular_file import read_regular

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes. The largest known shard index has 9 MB, manifests and configurations have a few KB."""
_MOST_VALUES = 1_000_000
"""Each takes up to about 250 bytes of memory."""
_DEEPEST = 64

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

T = TypeVar("T")


class JsonError(ValueError):
    """The bytes are not the expected JSON; the message names the field but not the file."""


def read_bounded(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """The contents of a regular file of at most `largest` bytes. Raises JsonError and OSError."""
    data = read_regular(path, largest)
    if len(data) > largest:
        raise JsonError(f"larger than {largest >> 20} MiB, the maximum")
    return data


def decode_json(data: bytes) -> Any:
    """The value. Raises JsonError."""
    marks = data.count(b",") + data.count(b"[") + data.count(b"{")
    if marks > _MOST_VALUES:
        raise JsonError(f"not valid JSON: more than {_MOST_VALUES} values")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise JsonError(f"not valid JSON: nested deeper than {_DEEPEST}") from None
    except UnicodeDecodeError:
        raise JsonError("not valid JSON: not UTF-8") from None
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(f"not valid JSON: {error}") from None
    _check_depth(value)
    if _SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise JsonError("not valid JSON: a \\u escape is a lone surrogate") from None
    return value


def checked(value: Any, schema: type[T]) -> T:
    """`value` converted to `schema`. Raises JsonError naming the field."""
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise JsonError(described(error)) from None


def described(error: msgspec.ValidationError) -> str:
    """The field first: "rope.scale: Expected `float`, got `str`"."""
    what, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    return f"{place}: {what}" if place else what


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonError(f"not valid JSON: the key {twice[:100]!r} occurs twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise JsonError(f"not valid JSON: {name} is not a JSON number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            part
            for holder in level
            if isinstance(holder, dict | list)
            for part in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise JsonError(f"not valid JSON: nested deeper than {_DEEPEST}")
