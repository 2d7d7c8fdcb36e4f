"""A directory in Hugging Face's format as a checkpoint: config.json, safetensors (one or many), tokenizer.json.

A safetensors file is: header length u64 | JSON header {name: {dtype, shape, data_offsets}} | data.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from youtu_edge.package import CHAT_TEMPLATE, TOKENIZER
from youtu_export.checkpoint import Checkpoint, TextAssets, sampling_defaults
from youtu_export.errors import ExportError
from youtu_export.model_config import ModelConfig
from youtu_export.packed_checkpoints import unpack_tensors
from youtu_export.stored_tensor import StoredTensor, stored_bytes

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_KINDS = ("F32", "F16", "BF16", "I32", "I64")  # the names of safetensors and of ggml agree


def open_hf(directory: Path) -> Checkpoint:
    """Open a checkpoint directory. Raises ExportError naming the file and what is wrong with it."""
    if not directory.is_dir():
        raise ExportError(f"{directory}: no such directory")
    values = _read_json(directory / "config.json")
    config = ModelConfig(directory / "config.json", values)
    tensors = unpack_tensors(config, _read_tensors(directory))
    return Checkpoint(directory, "hf", config, tensors, _assets(directory, values))


def _read_tensors(directory: Path) -> dict[str, StoredTensor]:
    if not (directory / _INDEX).exists():
        return _read_safetensors(directory / _SINGLE)
    places = _read_json(directory / _INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(Path(str(place)).name == place for place in places.values()):
        raise ExportError(f"{directory / _INDEX}: weight_map is missing or names a file outside of the directory")
    tensors: dict[str, StoredTensor] = {}
    for place in sorted(set(places.values())):
        tensors |= _read_safetensors(directory / place)
    for name, place in places.items():
        if name not in tensors:
            raise ExportError(f"{directory / place}: {name}: the index promises this tensor")
    return tensors


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
            if length > size - 8:
                raise ExportError(f"{path}: the file ends inside its header: truncated, or not a safetensors file")
            header = json.loads(file.read(length))
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ExportError(f"{path}: not a safetensors file") from None
    header.pop("__metadata__", None)
    return {name: _tensor(path, name, entry, 8 + length, size) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: dict[str, Any], start: int, size: int) -> StoredTensor:
    try:
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ExportError(f"{path}: {name}: damaged header") from None
    if kind not in _KINDS:
        raise ExportError(f"{path}: {name}: element type {kind} is not supported, only {', '.join(_KINDS)}")
    if end - begin != stored_bytes(kind, shape):
        raise ExportError(f"{path}: {name}: {end - begin} bytes do not make shape {list(shape)} of {kind}")
    if start + end > size:
        raise ExportError(f"{path}: {name}: the file ends before this tensor does: truncated")
    return StoredTensor(path, name, shape, kind, start + begin)


def _assets(directory: Path, config: dict[str, Any]) -> TextAssets:
    path = directory / TOKENIZER
    text = _read_text(path)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise ExportError(f"{path}: {error}") from None
    settings = _read_json(directory / "tokenizer_config.json", optional=True)
    generation = _read_json(directory / "generation_config.json", optional=True)
    variables = {}
    for role in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = settings.get(role)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            variables[role] = token
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [ends]
    if not all(isinstance(end, int) for end in ends) or not ends:
        raise ExportError(f"{directory / 'config.json'}: eos_token_id is missing")
    return TextAssets(
        tokenizer=text,
        chat_template=_chat_template(directory, settings),
        generation=sampling_defaults(generation),
        eos_token_ids=ends,
        bos_token_id=_start_token_id(tokenizer, variables.get("bos_token")),
        template_variables=variables,
    )


def _start_token_id(tokenizer: Tokenizer, token: str | None) -> int | None:
    """BOS, if the tokenizer's own post-processor puts it in front of a text."""
    token_id = None if token is None else tokenizer.token_to_id(token)
    first = tokenizer.encode("a").ids[:1]
    return token_id if token_id is not None and first == [token_id] else None


def _chat_template(directory: Path, settings: dict[str, Any]) -> str | None:
    if (directory / CHAT_TEMPLATE).exists():
        return _read_text(directory / CHAT_TEMPLATE)
    template = settings.get("chat_template")
    if isinstance(template, list):
        template = {entry.get("name"): entry.get("template") for entry in template}.get("default")
    return template if isinstance(template, str) else None


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.exists():
        return {}
    try:
        values = json.loads(_read_text(path))
    except ValueError as error:
        raise ExportError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise ExportError(f"{path}: not a JSON object")
    return values


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: not a text file") from None
