"""The GGUF container: metadata and the position of each tensor.

    magic "GGUF" | version u32 | tensors u64 | keys u64 | (key, type, value)* | (name, dims, type, offset)* | pad | data

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Little-endian versions 2 and 3.

Every count and length is checked against the remaining bytes before anything is allocated for it, and the whole header
against the size of the largest known ones: a file of many gigabytes could otherwise declare an array of any size.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import gguf

from youtu_edge.regular_file import open_regular
from youtu_export.checkpoints.stored_tensor import LONGEST_SIDE, StoredTensor, reject_overlaps, stored_bytes
from youtu_export.errors import ExportError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9
_MAX_DIMENSIONS = 4
_LARGEST_HEADER = 48 * 1024 * 1024
"""Bytes of metadata and tensor entries; a vocabulary of 262,144 tokens with its merges takes about 16 MB."""
_MOST_VALUES = 2_000_000
"""Of all arrays together. Each takes about 70 bytes of memory."""
_LEAST_KEY, _LEAST_TENSOR = 8 + 4 + 1, 8 + 4 + 8 + 4 + 8  # bytes


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key, and tensors by their GGUF name with shapes in row-major order."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_gguf(path: Path) -> GgufFile:
    """Read the header. Raises ExportError for anything but a complete GGUF file."""
    try:
        with open_regular(path) as file:
            return _Header(path, file).read()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None


class _Header:
    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.size = os.fstat(file.fileno()).st_size
        self._data = file.read(_LARGEST_HEADER)
        self._at = 0
        self._num_values = 0

    def read(self) -> GgufFile:
        if self._data[:4] != b"GGUF":
            raise self._error("not a GGUF file")
        self._at = 4
        version = self._scalar("I")
        if version not in (2, 3):
            raise self._error(f"GGUF version {version} is not supported, only 2 and 3 (little-endian)")
        num_tensors, num_keys = self._scalar("Q"), self._scalar("Q")
        self._expect(num_keys * _LEAST_KEY + num_tensors * _LEAST_TENSOR)
        metadata: dict[str, Any] = {}
        for _ in range(num_keys):
            key = self._string()
            if key in metadata:
                raise self._error(f"{key}: occurs twice in the metadata; the file is damaged")
            metadata[key] = self._value(key)
        entries = [self._tensor_entry() for _ in range(num_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0:
            raise self._error(f"general.alignment: {alignment!r} is not a positive integer")
        start = -(-self._at // alignment) * alignment
        tensors: dict[str, StoredTensor] = {}
        for entry in entries:
            if entry[0] in tensors:
                raise self._error(f"{entry[0]}: two tensors have this name; the file is damaged")
            tensors[entry[0]] = self._tensor(start, *entry)
        reject_overlaps(tensors.values())
        return GgufFile(self.path, metadata, tensors)

    def _tensor_entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        rank = self._scalar("I")
        if not 0 < rank <= _MAX_DIMENSIONS:
            raise self._error(f"{name}: {rank} dimensions; the file is damaged")
        # GGUF lists the fastest dimension first.
        shape = tuple(self._scalar("Q") for _ in range(rank))[::-1]
        if not all(0 < side <= LONGEST_SIDE for side in shape):
            raise self._error(f"{name}: shape {list(shape)}: sides have 1 to {LONGEST_SIDE} elements; the file is damaged")
        return name, shape, self._scalar("I"), self._scalar("Q")

    def _tensor(self, start: int, name: str, shape: tuple[int, ...], type_number: int, offset: int) -> StoredTensor:
        try:
            kind = gguf.GGMLQuantizationType(type_number).name
            size = shape[0] * stored_bytes(kind, shape[1:])  # rows must divide into blocks, even those of one value
        except ValueError as error:
            raise self._error(f"{name}: {error}") from None
        if start + offset + size > self.size:
            raise self._error(f"{name}: the file ends before this tensor does: truncated")
        return StoredTensor(self.path, name, shape, kind, start + offset)

    def _value(self, key: str) -> Any:
        type_number = self._scalar("I")
        if type_number == _STRING:
            return self._string()
        if type_number == _ARRAY:
            return self._array(key)
        if type_number not in _SCALARS:
            raise self._error(f"{key}: unknown metadata type {type_number}; the file is damaged")
        return self._scalar(_SCALARS[type_number])

    def _array(self, key: str) -> list[Any]:
        type_number, count = self._scalar("I"), self._scalar("Q")
        if type_number != _STRING and type_number not in _SCALARS:
            raise self._error(f"{key}: arrays of metadata type {type_number} are not supported")
        layout = "Q" if type_number == _STRING else _SCALARS[type_number]
        self._expect(count * struct.calcsize(layout))
        self._num_values += count
        if self._num_values > _MOST_VALUES:
            raise self._error(f"{key}: arrays of more than {_MOST_VALUES} values in total")
        if type_number == _STRING:
            return [self._string() for _ in range(count)]
        return list(self._unpack(f"{count}{layout}"))

    def _string(self) -> str:
        length = self._scalar("Q")
        self._expect(length)
        begin = self._at
        self._at += length
        return self._data[begin : self._at].decode("utf-8", errors="replace")

    def _scalar(self, layout: str) -> Any:
        return self._unpack(layout)[0]

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        layout = "<" + layout
        self._expect(struct.calcsize(layout))
        begin = self._at
        self._at += struct.calcsize(layout)
        return struct.unpack_from(layout, self._data, begin)

    def _expect(self, count: int) -> None:
        """Raise unless `count` bytes of the header are left."""
        if count <= len(self._data) - self._at:
            return
        if count <= self.size - self._at:
            raise self._error(f"its header is larger than {_LARGEST_HEADER >> 20} MiB, the maximum")
        raise self._error("the file ends inside its header: truncated")

    def _error(self, message: str) -> ExportError:
        return ExportError(f"{self.path}: {message}")
