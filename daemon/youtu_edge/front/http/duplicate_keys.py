"""Rejects JSON in which an object has a key twice: decoders silently take the last of the values."""

from __future__ import annotations

import json
from typing import Any

from youtu_edge.encoding import json_bytes
from youtu_edge.front.http.json_paths import join, walk
from youtu_edge.request_errors import InvalidRequestError


class _Twice:
    """Stands for an object that has `key` twice."""

    def __init__(self, key: str) -> None:
        self.key = key


def check_keys(data: bytes, values: Any) -> None:
    """Raises InvalidRequestError naming a key that is twice in one object of `data`, which was decoded to `values`.

    Every pair of key and value has a colon, so `values`, encoded as JSON again, has fewer colons than `data` if a pair was
    lost. Colons inside strings count equally on both sides, unless they are escaped. Counting takes about a millisecond per
    megabyte; only documents that it cannot decide are parsed a second time.
    """
    if b"\\u003" not in data and data.count(b":") == json_bytes(values).count(b":"):
        return
    # Numbers do not matter here, and Python rejects very long ones.
    document = json.loads(data, object_pairs_hook=_object, parse_int=str, parse_float=str, strict=False)
    for where, value in walk(document):
        if isinstance(value, _Twice):
            name = join(where, value.key)
            raise InvalidRequestError(f"{name}: duplicate key; send it once", param=name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            return _Twice(key)
        found[key] = value
    return found
