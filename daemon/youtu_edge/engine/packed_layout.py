"""Where packed weights lie in their file. ONNX Runtime writes them one after another; its kernels need each to begin at a
multiple of 64 bytes, as it did in memory when it was packed (measured: NaN otherwise). This module writes the file again
with every blob aligned. The original weights stay: ONNX Runtime reads them while loading, though not afterwards.

It reads just enough of the protobuf wire format for that: ModelProto.graph (7) > GraphProto.initializer (5) >
TensorProto.name (8), external_data (13) > StringStringEntryProto key (1), value (2). Everything else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 4096  # of a page, so that mapped blobs share none
_GRAPH, _INITIALIZER, _EXTERNAL_DATA, _KEY, _VALUE = 7, 5, 13, 1, 2
_BYTES = 2
_NAME = 8
_PREPACKED = "prepacked_"
_CHUNK = 4 * 1024 * 1024


def align(graph: Path, weights: Path, out_graph: Path, out_weights: Path) -> None:
    """Write `graph` and `weights` again with aligned offsets. Raises OSError, and ValueError for a graph it cannot read."""
    with weights.open("rb") as source, out_weights.open("wb") as target:
        mover = _Mover(source, target)
        model = _edit(graph.read_bytes(), _GRAPH, lambda g: _edit(g, _INITIALIZER, mover.move_tensor))
    out_graph.write_bytes(model)


def external_range(graph: Path, name: str) -> tuple[int, int] | None:
    """(offset, bytes) in the weights file of the initializer `name`; None when there is none."""
    for field, _, model in _fields(graph.read_bytes()):
        for inner, _, tensor in _fields(model) if field == _GRAPH else ():
            if inner == _INITIALIZER:
                parts = list(_fields(tensor))
                entries = dict(_entry(value) for number, _, value in parts if number == _EXTERNAL_DATA)
                if "length" in entries and (_NAME, _BYTES, name.encode()) in parts:
                    return int(entries.get("offset", "0")), int(entries["length"])
    return None


class _Mover:
    """Copies blobs to aligned places and rewrites the entries that name them."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._moved: dict[tuple[int, int], int] = {}

    def move_tensor(self, tensor: bytes) -> bytes:
        """One TensorProto with new offsets."""
        entries = dict(_entry(value) for field, _, value in _fields(tensor) if field == _EXTERNAL_DATA)
        if "offset" not in entries and "length" not in entries:
            return tensor
        begin, length = int(entries.get("offset", "0")), int(entries["length"])
        entries["offset"] = str(self._move(begin, length))
        entries |= {key: self._move_packed(value) for key, value in entries.items() if key.startswith(_PREPACKED)}
        rest = b"".join(_encode(field, kind, value) for field, kind, value in _fields(tensor) if field != _EXTERNAL_DATA)
        return rest + b"".join(_encode(_EXTERNAL_DATA, _BYTES, _pack_entry(k, v)) for k, v in entries.items())

    def _move_packed(self, value: str) -> str:
        """`KEY|offset;length;crc` for each buffer of one packed weight, with new offsets."""
        name, _, rest = value.partition("|")
        parts = []
        for part in rest.split("|"):
            offset, length, *more = part.split(";")
            parts.append(";".join([str(self._move(int(offset), int(length))), length, *more]))
        return "|".join([name, *parts])

    def _move(self, offset: int, length: int) -> int:
        if (offset, length) not in self._moved:
            place = -(-self._target.tell() // ALIGNMENT) * ALIGNMENT
            self._target.write(bytes(place - self._target.tell()))
            self._source.seek(offset)
            left = length
            while left:
                chunk = self._source.read(min(left, _CHUNK))
                if not chunk:
                    raise ValueError("the weights end before the graph says so")
                self._target.write(chunk)
                left -= len(chunk)
            self._moved[offset, length] = place
        return self._moved[offset, length]


def _edit(message: bytes, field_number: int, change: Callable[[bytes], bytes]) -> bytes:
    """The message with every submessage of that number changed."""
    return b"".join(
        _encode(field, kind, change(value) if field == field_number and kind == _BYTES else value)
        for field, kind, value in _fields(message)
    )


def _entry(message: bytes) -> tuple[str, str]:
    parts = {field: value.decode() for field, _, value in _fields(message)}
    return parts.get(_KEY, ""), parts.get(_VALUE, "")


def _pack_entry(key: str, value: str) -> bytes:
    return _encode(_KEY, _BYTES, key.encode()) + _encode(_VALUE, _BYTES, value.encode())


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Field number, wire type and the raw value (without its length prefix) of each field."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _BYTES:
            length, position = _varint(message, position)
            end = position + length
        elif kind == 0:
            end = _varint(message, position)[1]
        elif kind in (1, 5):
            end = position + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"wire type {kind} is not expected in a model")
        if end > len(message):
            raise ValueError("the graph is truncated")
        yield tag >> 3, kind, message[position:end]
        position = end


def _encode(field: int, kind: int, value: bytes) -> bytes:
    head = _pack_varint(field << 3 | kind)
    return head + _pack_varint(len(value)) + value if kind == _BYTES else head + value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _pack_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
