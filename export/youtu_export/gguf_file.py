"""The GGUF container: metadata and where each tensor lies. Knows nothing of models.

    magic "GGUF" | version u32 | tensors u64 | keys u64 | (key, type, value)* | (name, dims, type, offset)* | pad | data

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Little-endian versions 2 and 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import gguf

from youtu_export.errors import ExportError
from youtu_export.stored_tensor import StoredTensor, stored_bytes

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9
_MAX_DIMENSIONS = 4


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key, and tensors by their GGUF name with shapes in row-major order."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_gguf(path: Path) -> GgufFile:
    """Read the header. Raises ExportError for anything that is not a whole GGUF file."""
    try:
        with path.open("rb") as file:
            return _Header(path, file).read()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None


class _Header:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.size = path.stat().st_size

    def read(self) -> GgufFile:
        if self.file.read(4) != b"GGUF":
            raise ExportError(f"{self.path}: not a GGUF file")
        version = self._scalar("I")
        if version not in (2, 3):
            raise ExportError(f"{self.path}: GGUF version {version} is not supported, only 2 and 3 (little-endian)")
        num_tensors, num_keys = self._scalar("Q"), self._scalar("Q")
        metadata = {}
        for _ in range(num_keys):
            key = self._string()
            metadata[key] = self._value(self._scalar("I"))
        entries = [self._tensor_entry() for _ in range(num_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0:
            raise ExportError(f"{self.path}: general.alignment: {alignment!r} is not a positive integer")
        start = -(-self.file.tell() // alignment) * alignment
        return GgufFile(self.path, metadata, {entry[0]: self._tensor(start, *entry) for entry in entries})

    def _tensor_entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        rank = self._scalar("I")
        if not 0 < rank <= _MAX_DIMENSIONS:
            raise ExportError(f"{self.path}: {name}: {rank} dimensions; the file is damaged")
        # GGUF names the fastest dimension first.
        shape = tuple(self._scalar("Q") for _ in range(rank))[::-1]
        return name, shape, self._scalar("I"), self._scalar("Q")

    def _tensor(self, start: int, name: str, shape: tuple[int, ...], type_number: int, offset: int) -> StoredTensor:
        try:
            kind = gguf.GGMLQuantizationType(type_number).name
            size = stored_bytes(kind, shape)
        except ValueError as error:
            raise ExportError(f"{self.path}: {name}: {error}") from None
        if start + offset + size > self.size:
            raise ExportError(f"{self.path}: {name}: the file ends before this tensor does: truncated")
        return StoredTensor(self.path, name, shape, kind, start + offset)

    def _value(self, type_number: int) -> Any:
        if type_number == _STRING:
            return self._string()
        if type_number == _ARRAY:
            return self._array()
        if type_number not in _SCALARS:
            raise ExportError(f"{self.path}: unknown metadata type {type_number}; the file is damaged")
        return self._scalar(_SCALARS[type_number])

    def _array(self) -> list[Any]:
        type_number, count = self._scalar("I"), self._scalar("Q")
        if type_number == _STRING:
            return [self._string() for _ in range(count)]
        if type_number not in _SCALARS:
            raise ExportError(f"{self.path}: arrays of metadata type {type_number} are not supported")
        layout = _SCALARS[type_number]
        return list(struct.unpack(f"<{count}{layout}", self._bytes(count * struct.calcsize(layout))))

    def _string(self) -> str:
        return self._bytes(self._scalar("Q")).decode("utf-8", errors="replace")

    def _scalar(self, layout: str) -> Any:
        return struct.unpack("<" + layout, self._bytes(struct.calcsize("<" + layout)))[0]

    def _bytes(self, count: int) -> bytes:
        # Checked before reading, so that a damaged length cannot ask for all memory.
        if count > self.size - self.file.tell():
            raise ExportError(f"{self.path}: the file ends inside its header: truncated")
        return self.file.read(count)
