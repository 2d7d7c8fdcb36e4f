"""Damages the files of checkpoints and packages: at their structure, with the values that readers forget, and byte by byte.

Files are held as bytes by name. Every function takes the random numbers as its first argument, so that a seed names a case.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from export.gguf_parts import GgufParts, odd_field

Files = dict[str, bytes]

MANIFEST = "manifest.json"
_WEIGHTY = (MANIFEST, "config.json")
_DEEP, _TWICE, _NAN, _HALF, _LONG = "@deep@", "@twice@", "@nan@", "@half@", "@long@"
"""Marks for what json cannot write, put into the text afterwards."""
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 10**8, 2**31, 2**32 - 1, 2**63, 10**30, 10**400, 0.5, -0.5, 1e-300, 1e308, 1e39,
    "", "x", "../../etc/passwd", "\x1b[31mred\x07\nnext line", "\0", [], {}, [[]], [None], {"": None}, ["a", 1, None],
    {"type": "yarn"}, [[1, 2], [3]], _DEEP, _TWICE, _NAN, _HALF, _LONG,
)  # fmt: skip
_ODD_NAMES = ("", "\x1b]0;title\x07", "line\nbreak", "\u202ertl", "x" * 100_000, "__metadata__", "\0")


def mutated(random: Random, files: Files) -> tuple[Files, str]:
    """One or two damages to a copy of `files`, and in words what was done; those of a package are sealed again, mostly."""
    found, done = dict(files), []
    for _ in range(random.choice((1, 1, 1, 2))):
        names = [name for name in found if found[name]]
        if not names:  # the first damage left nothing
            break
        (name,) = random.choices(names, [4 if name in _WEIGHTY else 1 for name in names])
        kinds: list[tuple[Callable[[Random, bytes], tuple[bytes, str]], int]] = [(_mutated_bytes, 1)]
        if name.endswith(".json"):
            kinds.append((_mutated_json, 5))
        elif name.endswith(".safetensors"):
            kinds.append((_mutated_safetensors, 5))
        elif name.endswith(".gguf"):
            kinds.append((_mutated_gguf, 5))
        (mutate,) = random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
        found[name], what = mutate(random, found[name])
        done.append(f"{name}: {what}")
        if MANIFEST in found and random.random() < 0.95:
            found[MANIFEST] = _sealed(found, name)
    return found, "; ".join(done)


def _mutated_bytes(random: Random, data: bytes) -> tuple[bytes, str]:
    at = random.choice((random.randrange(len(data)), random.randrange(min(len(data), 4096))))
    kind = random.choice(("flip", "cut", "insert", "remove", "number", "repeat", "empty", "zeros"))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :], f"bit at {at} flipped"
    if kind == "cut":
        return data[:at], f"cut at {at}"
    if kind == "insert":
        return data[:at] + random.randbytes(random.randrange(1, 64)) + data[at:], f"bytes inserted at {at}"
    if kind == "remove":
        return data[:at] + data[at + random.randrange(1, 64) :], f"bytes removed at {at}"
    if kind == "number":
        number = random.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 10**8))
        return data[:at] + struct.pack("<Q", number) + data[at + 8 :], f"u64 {number} at {at}"
    if kind == "repeat":
        return data[:at] + data[max(0, at - 256) : at] * 3 + data[at:], f"bytes before {at} repeated"
    return (b"", "emptied") if kind == "empty" else (bytes(len(data)), "all zeros")


def _mutated_json(random: Random, data: bytes) -> tuple[bytes, str]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):  # the second damage to one file
        return _mutated_bytes(random, data)
    holders: list[tuple[Any, Any]] = []

    def visit(value: Any, depth: int) -> None:
        keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        for key in keys if len(keys) < 64 else random.sample(keys, 8):
            holders.append((value, key))
            if depth < 8:
                visit(value[key], depth + 1)

    visit(values, 0)
    if not holders or random.random() < 0.05:
        odd = random.choice(_ODD_VALUES)
        return _json_text(odd), f"all of it is now {odd!r}"
    holder, key = random.choice(holders)
    kind = random.choice(("set", "set", "set", "set", "delete", "name", "add"))
    if kind == "delete":
        del holder[key]
        return _json_text(values), f"{key!r} deleted"
    if kind in ("name", "add") and isinstance(holder, dict):
        name = random.choice(_ODD_NAMES)
        holder[name] = holder.pop(key) if kind == "name" else random.choice(_ODD_VALUES)
        return _json_text(values), f"{key!r} {'renamed' if kind == 'name' else 'joined by'} {name[:40]!r}"
    holder[key] = odd = random.choice(_ODD_VALUES)
    return _json_text(values), f"{key!r} is now {odd!r}"


def _json_text(values: Any) -> bytes:
    text = json.dumps(values)
    for mark, raw in (
        (_DEEP, "[" * 200_000 + "]" * 200_000),
        (_TWICE, '{"a": 1, "a": 2}'),
        (_NAN, "NaN"),
        (_HALF, '"\\ud800"'),
        (_LONG, "[" + "0," * 300_000 + "0]"),
    ):
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


def _mutated_safetensors(random: Random, data: bytes) -> tuple[bytes, str]:
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if random.random() < 0.15 or length > len(data):
        odd = random.choice((0, 1, 7, length - 1, length + 1, len(data), 2**31, 2**63, 2**64 - 1))
        return struct.pack("<Q", odd) + data[8:], f"header length {odd}"
    header, what = _mutated_json(random, data[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + data[8 + length :], f"header: {what}"


def _mutated_gguf(random: Random, data: bytes) -> tuple[bytes, str]:
    try:
        parts = GgufParts.read(data)
    except (struct.error, KeyError, MemoryError, OverflowError):
        return _mutated_bytes(random, data)
    kind = random.choice(("field", "field", "key", "key", "key", "type", "tensor", "name", "counts", "twice"))
    if kind == "field":
        return odd_field(random, data)
    if kind == "tensor" and parts.tensors:
        what = parts.mutate_tensor(random)
    elif kind == "twice":
        what = parts.repeat(random)
    elif kind == "counts":
        parts.counts = (random.choice((0, 1, 10**8, 2**63)), random.choice((0, 1, 10**8, 2**63)))
        what = f"counts {parts.counts}"
    else:
        what = parts.mutate_key(random, kind)
    return parts.write(), what


def _sealed(files: Files, name: str) -> bytes:
    """The manifest with size and checksum of a file, and with its own, so that readers look further."""
    text = files[MANIFEST]
    try:
        manifest = json.loads(text)
        entry = manifest["files"][name]
        entry["size"], entry["sha256"] = len(files[name]), hashlib.sha256(files[name]).hexdigest()
        text = json.dumps(manifest, indent=2).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # the manifest itself is damaged
    found = re.search(rb'"checksum":\s*"([0-9a-f]{64})"', text)
    if found is None:
        return text
    blank = text[: found.start(1)] + b"0" * 64 + text[found.end(1) :]
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)
