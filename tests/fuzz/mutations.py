"""Structured mutations of a JSON body, and bytes that are not valid JSON."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from fuzz.large_values import ANY, FOR_FIELD, Written, number, text, written_number
from fuzz.valid_bodies import ANYTHING

_REPEATED = 5000
"""Characters of the largest value that is written 300 times."""
Place = tuple[Any, Any]
"""A container and the key or index of a value in it."""


def mutate(body: dict[str, Any], optional: Callable[[], dict[str, Any]], chance: random.Random) -> None:
    """One mutation somewhere inside of `body`, in place. `optional()` is another body of the route, with more fields."""
    container, key = chance.choice(list(places(body)) or [(body, "prompt")])
    old = container.get(key) if isinstance(container, dict) else container[key]
    kind = chance.randrange(18)
    if kind < 4 or kind > 11:  # large in the sense of the field, which may be one that the body does not have yet
        known = [name for name in optional() if name in FOR_FIELD]
        if known and chance.random() < 0.7:
            container, key = body, chance.choice(known)
        container[key] = FOR_FIELD.get(str(key), chance.choice(ANY))(chance)
    elif kind == 4:
        container[key] = chance.choice(ANY)(chance)
    elif kind == 5:
        container[key] = chance.choice((number, written_number))(chance)
    elif kind == 6:
        container[key] = copy.deepcopy(chance.choice(ANYTHING))
    elif kind == 7:
        container[key] = None
    elif kind == 8:
        _remove(container, key)
    elif kind == 9:
        _rename(container, key, chance)
    elif kind == 10:
        container[key] = [old] * (chance.choice((1, 2, 300)) if len(repr(old)) < _REPEATED else 1)
    else:
        more = optional()
        body |= {name: more[name] for name in chance.sample(sorted(more), min(3, len(more)))}


def places(value: Any, depth: int = 0) -> Iterator[Place]:
    """Every value inside of a container, the container's own included."""
    if depth > 8 or not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(min(len(value), 20)):
        yield value, key
        yield from places(value[key], depth + 1)


def _remove(container: Any, key: Any) -> None:
    if isinstance(container, dict):
        container.pop(key, None)
    else:
        del container[key]


def _rename(container: Any, key: Any, chance: random.Random) -> None:
    if not isinstance(container, dict):
        container.insert(0, copy.deepcopy(chance.choice(ANYTHING)))
        return
    value = container.pop(key, None)
    container[chance.choice((f"{key}x", key.upper(), "", "\x00", "a" * 5000, "__proto__", "名"))] = value


_MARK = "\x01WRITTEN%d\x01"
_MOST_WRITTEN = 4 * 1024 * 1024
"""Characters of a body that are `Written`; beyond them 0 is written: copies of a large value would make gigabytes."""
_MOST_PLAIN = 16 * 1024 * 1024
"""Characters of all other values, a few for each; what is beyond is empty. The items of a list can be one object, in which
a later mutation puts 2 MB: 45,000 times that is more than any machine has."""
_MARKED = re.compile(r'"\\u0001WRITTEN(\d+)\\u0001"')


def encode(body: Any) -> bytes:
    """The body as JSON, with what is `Written` as it stands."""
    parts: list[str] = []

    room = _MOST_PLAIN

    def marked(value: Any) -> Any:
        nonlocal room
        room -= len(value) if isinstance(value, str) else 8
        if room < 0:
            return ""
        if isinstance(value, Written):
            parts.append(value)
            return _MARK % (len(parts) - 1)
        if isinstance(value, dict):
            return {key: marked(inner) for key, inner in value.items()}
        return [marked(inner) for inner in value] if isinstance(value, list) else value

    plain = json.dumps(marked(body), ensure_ascii=False)
    left = _MOST_WRITTEN

    def written(mark: re.Match[str]) -> str:
        nonlocal left
        part = parts[int(mark[1])]
        left -= len(part)
        return part if left >= 0 else "0"

    return _MARKED.sub(written, plain).encode("utf-8", "surrogatepass")


def corrupt(data: bytes, chance: random.Random) -> bytes:
    """Bytes that are not valid JSON, or JSON that two parsers read differently."""
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(9)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return (
            data[:at]
            + chance.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\xf4\x90\x80\x80", b"\\"))
            + data[at:]
        )
    if kind == 2 and data[:1] == b"{":
        return b'{"messages": [], "prompt": "a", "prompt": "b", ' + data[1:]
    if kind == 3:
        return b"\xef\xbb\xbf" + data
    if kind == 4:
        return data.decode("utf-8", "replace").encode("utf-16")
    if kind == 5:
        return data + chance.choice((b"{}", b"\x00", b"]", b" " * 100_000))
    if kind == 6:
        return chance.choice((b"", b"null", b"[]", b'"a"', b"1", b"{", b"[" * 100_000, b"true", b"{}"))
    if kind == 7:
        return data.replace(b'"', b"'")
    return data.replace(b'": "', b'": "\\ud800', 1) if chance.random() < 0.5 else text(chance).encode()[:50_000]
