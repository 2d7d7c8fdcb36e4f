"""One safetensors file: header length u64 | JSON header {name: {dtype, shape, data_offsets}} | data.

The header is checked against the size of the file, and the extents of the tensors against each other, before anything is
read or allocated according to it. Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
from msgspec import Meta

from youtu_edge.json_file import LARGEST_FILE, JsonError, checked, decode_json
from youtu_edge.regular_file import open_regular
from youtu_export.checkpoints.stored_tensor import LONGEST_SIDE, StoredTensor, reject_overlaps, stored_bytes
from youtu_export.errors import ExportError

_KINDS = ("F32", "F16", "BF16", "I32", "I64")  # the names of safetensors and of ggml agree
_METADATA = "__metadata__"


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=LONGEST_SIDE)]], Meta(max_length=8)]
    data_offsets: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors by name. Raises ExportError for anything but a complete safetensors file."""
    try:
        with open_regular(path) as file:
            return _read(path, file)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except JsonError as error:
        raise ExportError(f"{path}: not a safetensors file: its header is {error}") from None
    except ValueError:  # a NUL in the name
        raise ExportError(f"{path}: not a valid file name") from None


def _read(path: Path, file: IO[bytes]) -> dict[str, StoredTensor]:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
    if length > size - 8:
        raise ExportError(f"{path}: the file ends inside its header: truncated, or not a safetensors file")
    if length > LARGEST_FILE:
        raise ExportError(f"{path}: its header has {length} bytes; at most {LARGEST_FILE} are read")
    header = decode_json(file.read(length))
    if not isinstance(header, dict):
        raise ExportError(f"{path}: not a safetensors file: its header is not a JSON object")
    header.pop(_METADATA, None)
    tensors = {name: _tensor(path, name, entry, 8 + length, size) for name, entry in header.items()}
    reject_overlaps(tensors.values())
    return tensors


def _tensor(path: Path, name: str, values: Any, start: int, size: int) -> StoredTensor:
    try:
        entry = checked(values, _Entry)
    except JsonError as error:
        raise ExportError(f"{path}: {name}: damaged header: {error}") from None
    begin, end = entry.data_offsets
    if entry.dtype not in _KINDS:
        raise ExportError(f"{path}: {name}: element type {entry.dtype} is not supported, only {', '.join(_KINDS)}")
    if end - begin != stored_bytes(entry.dtype, tuple(entry.shape)):
        raise ExportError(f"{path}: {name}: {end - begin} bytes do not make shape {entry.shape} of {entry.dtype}")
    if start + end > size:
        raise ExportError(f"{path}: {name}: the file ends before this tensor does: truncated")
    return StoredTensor(path, name, tuple(entry.shape), entry.dtype, start + begin)
