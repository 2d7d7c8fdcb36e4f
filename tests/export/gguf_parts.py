"""A GGUF file in its parts, which can be damaged one by one and put together again. Written from the format's description,
so that reader and damage share no mistake.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_ODD_COUNTS = (0, 1, 2, 3, 5, 10**5, 10**8, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode("utf-8", errors="surrogatepass")
    return struct.pack("<Q", len(data)) + data


_DEEP_ARRAY = b"".join(struct.pack("<IQ", _ARRAY, 1) for _ in range(50_000)) + struct.pack("<IQ", 4, 0)
ODD_VALUES: tuple[tuple[int, bytes], ...] = (
    *((4, struct.pack("<I", n)) for n in (0, 1, 2, 3, 7, 10**8, 2**31, 2**32 - 1)),
    *((5, struct.pack("<i", n)) for n in (-1, -(2**31))),
    *((10, struct.pack("<Q", n)) for n in (10**12, 2**63, 2**64 - 1)),
    *((6, struct.pack("<f", x)) for x in (0.0, -1.0, 0.5, 1e-38, 3e38, float("inf"), float("nan"))),
    *((12, struct.pack("<d", x)) for x in (1e308, 1e-308, float("nan"))),
    (7, b"\1"), (7, b"\7"), (_STRING, text("")), (_STRING, text("yarn")), (_STRING, text("\x1b[31m\nline")),
    (_STRING, struct.pack("<Q", 3) + b"\xff\xfe\xfd"), (_STRING, struct.pack("<Q", 2**63)),
    (_ARRAY, struct.pack("<IQ", 4, 0)), (_ARRAY, struct.pack("<IQ", 4, 10**8)), (_ARRAY, struct.pack("<IQ", 8, 10**8)),
    (_ARRAY, struct.pack("<IQ", 4, 2) + bytes(8)), (_ARRAY, struct.pack("<IQ", 8, 1) + text("x")),
    (_ARRAY, struct.pack("<IQ", 0, 400_000) + bytes(400_000)), (_ARRAY, struct.pack("<IQ", 99, 1)), (_ARRAY, _DEEP_ARRAY),
    (13, b""), (2**31, b"x"),
)  # fmt: skip
_KEYS = (
    "general.alignment", "general.architecture", "split.count", "tokenizer.chat_template", "tokenizer.ggml.scores",
    "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.add_space_prefix", "general.sampling.temp", "llama.rope.scaling.type", "llama.rope.scaling.factor",
    "deepseek2.rope.scaling.type", "deepseek2.rope.scaling.yarn_log_multiplier", "llama.attention.key_length",
    "phi2.rope.dimension_count", "chatglm.attention.key_length", "line\nbreak\x1b[0m", "k" * 100_000,
)  # fmt: skip


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.fields = data, 0, list[tuple[int, int]]()

    def number(self, size: int) -> int:
        layout = {4: "<I", 8: "<Q"}[size]
        (value,) = struct.unpack_from(layout, self.data, self.at)
        self.fields.append((self.at, size))
        self.at += size
        return int(value)

    def string(self) -> str:
        length = self.number(8)
        self.at += length
        if self.at > len(self.data):
            raise struct.error
        return self.data[self.at - length : self.at].decode(errors="replace")

    def value(self, kind: int) -> bytes:
        begin = self.at
        if kind == _STRING:
            self.string()
        elif kind == _ARRAY:
            of, count = self.number(4), self.number(8)
            if of == _STRING and count <= len(self.data):
                for _ in range(count):
                    self.string()
            else:
                self.at += _SIZES[of] * count
        else:
            self.at += _SIZES[kind]
        return self.data[begin : self.at]


@dataclass
class GgufParts:
    """keys: (name, type, value as it is stored). tensors: (name, dimensions, type, offset). counts: those that are told."""

    keys: list[tuple[str, int, bytes]]
    tensors: list[tuple[str, list[int], int, int]]
    data: bytes
    counts: tuple[int, int] | None = None

    @classmethod
    def read(cls, file: bytes, fields: list[tuple[int, int]] | None = None) -> GgufParts:
        """Raises struct.error and KeyError for a file that is damaged already. `fields` gets the places of all numbers."""
        reader = _Reader(file)
        reader.fields = [] if fields is None else fields
        reader.at = 4
        reader.number(4)
        num_tensors, num_keys = reader.number(8), reader.number(8)
        if num_tensors + num_keys > len(file):
            raise struct.error
        keys = []
        for _ in range(num_keys):
            name, kind = reader.string(), reader.number(4)
            keys.append((name, kind, reader.value(kind)))
        tensors = []
        for _ in range(num_tensors):
            name = reader.string()
            dims = [reader.number(8) for _ in range(min(reader.number(4), 8))]
            tensors.append((name, dims, reader.number(4), reader.number(8)))
        return cls(keys, tensors, file[-(-reader.at // 32) * 32 :])

    def write(self) -> bytes:
        """The file again."""
        counts = self.counts or (len(self.tensors), len(self.keys))
        parts = [b"GGUF", struct.pack("<IQQ", 3, *counts)]
        parts += [text(name) + struct.pack("<I", kind) + value for name, kind, value in self.keys]
        for name, dims, kind, offset in self.tensors:
            parts.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        head = b"".join(parts)
        return head + bytes(-len(head) % 32) + self.data

    def mutate_key(self, random: Random, kind: str) -> str:
        """Another value, another type or another name of one key, or a key more."""
        at = random.randrange(len(self.keys)) if self.keys else 0
        odd = random.choice(ODD_VALUES)
        shown = f"type {odd[0]} {odd[1][:12]!r}"
        if kind == "name" or not self.keys:
            name = random.choice(_KEYS)
            self.keys.insert(at, (name, *odd))
            return f"{name[:60]!r} added: {shown}"
        name, old, value = self.keys[at]
        if kind == "type":
            number = random.choice((*range(14), 99))
            self.keys[at] = (name, number, value)
            return f"{name}: type {old} is now {number}"
        self.keys[at] = (name, *odd)
        return f"{name} is now {shown}"

    def mutate_tensor(self, random: Random) -> str:
        """Another name, shape, type or place of one tensor."""
        at = random.randrange(len(self.tensors))
        name, dims, kind, offset = self.tensors[at]
        what = random.choice(("name", "dims", "rank", "kind", "offset"))
        if what == "name":
            name = random.choice(("", "\x1b[31m\nred", "x" * 100_000, "blk.99.attn_q.weight", "blk.x", "a.weight"))
        elif what == "dims":
            dims = [random.choice((0, 1, 3, 2**31, 2**63, 2**64 - 1, dim)) for dim in dims]
        elif what == "rank":
            dims = random.choice(([], [1] * 5, dims * 3, dims[::-1], [2**32, 2**32]))
        elif what == "kind":
            kind = random.choice((*range(42), 2**32 - 1))
        else:
            offset = random.choice((0, 1, 32, offset + 1, 2**32, 2**63, 2**64 - 1))
        self.tensors[at] = (name, dims, kind, offset)
        return f"tensor {self.tensors[at][0][:40]!r}: {what}"

    def repeat(self, random: Random) -> str:
        """A key or a tensor twice."""
        if self.tensors and random.random() < 0.5:
            self.tensors.append(random.choice(self.tensors))
            return f"tensor {self.tensors[-1][0][:40]!r} twice"
        if self.keys:
            self.keys.append(random.choice(self.keys))
        return "a key twice"


def odd_field(random: Random, file: bytes) -> tuple[bytes, str]:
    """The file with another number in one of its counts, lengths, types, dimensions or offsets."""
    fields: list[tuple[int, int]] = []
    GgufParts.read(file, fields)
    at, size = random.choice((random.choice(fields), random.choice(fields[:64])))
    number = random.choice(_ODD_COUNTS) % 2 ** (8 * size)
    return file[:at] + number.to_bytes(size, "little") + file[at + size :], f"u{8 * size} at {at} is now {number}"
