"""A GGUF file as a checkpoint: Hugging Face names for its tensors and hyperparameters.

Llama's conversion to GGUF permutes the rows of q and k per head, so that rope rotates neighbours. Undone here by row order,
which leaves every quantised row unchanged:

    Hugging Face row   head h, half s, pair j        stored row   h * width + 2 j + s
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.gguf_architectures import ARCHITECTURES, Architecture
from youtu_export.checkpoints.gguf_file import GgufFile, read_gguf
from youtu_export.checkpoints.gguf_metadata import check_metadata
from youtu_export.checkpoints.gguf_text import read_text_sources
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.checkpoints.unsupported import unsupported
from youtu_export.checkpoints.vocabulary_fit import reject_missing_rows
from youtu_export.errors import ExportError
from youtu_export.text_assets import settle

_INERT_KEYS = ("attention.causal",)
_INERT_SCALING_KEYS = ("original_context_length", "orig_ctx_len", "finetuned")
_ATTENTION_FACTORS = ("attn_factor", "yarn_attn_factor")


def open_gguf(path: Path) -> Checkpoint:
    """Open one GGUF file. Raises ExportError naming the file and what is wrong with it."""
    file = read_gguf(path)
    check_metadata(path, file.metadata)
    _reject_part(file)
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ExportError(f"{path}: general.architecture is missing")
    if architecture not in ARCHITECTURES:
        raise ExportError(f"{path}: {unsupported(architecture, ARCHITECTURES)}")
    names = ARCHITECTURES[architecture]
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in file.tensors.items():
        if tensors.setdefault(_tensor_name(name, names), tensor) is not tensor:
            raise ExportError(f"{path}: {name}: the same tensor as {tensors[_tensor_name(name, names)].name}")
    values = _config_values(file, architecture, names)
    values["tie_word_embeddings"] = "output.weight" not in file.tensors
    if "token_embd.weight" in file.tensors:
        rows = file.tensors["token_embd.weight"].shape[0]
        reject_missing_rows(path, len(file.metadata.get("tokenizer.ggml.tokens", ())), rows)  # before a tokenizer is built
        values.setdefault(names.vocab_key, rows)
    config = ModelConfig(path, values)
    config.limit_sizes(tensors.values())
    if names.is_permuted:
        _undo_permutation(tensors, config)
    checkpoint = Checkpoint(path, "gguf", config, _split_fused(tensors) if names.splits_qkv else tensors)
    checkpoint.assets = settle(checkpoint, read_text_sources(path, file.metadata))
    return checkpoint


def _reject_part(file: GgufFile) -> None:
    """A part of a split model has only some of its tensors, and only the first has its metadata."""
    count = file.metadata.get("split.count", 0)
    if count != 0 and count != 1:
        number = file.metadata.get("split.no")
        part = f"part {number + 1}" if isinstance(number, int) else "one part"
        raise ExportError(
            f"{file.path}: split.count: {count}: this is {part} of {count} files; "
            "join them first: llama-gguf-split --merge FIRST_PART OUT"
        )


def _config_values(file: GgufFile, architecture: str, names: Architecture) -> dict[str, Any]:
    """Metadata of the architecture under the names of config.json; unknown keys keep theirs, and are rejected later."""
    prefix = architecture + "."
    found = {key.removeprefix(prefix): value for key, value in file.metadata.items() if key.startswith(prefix)}
    values: dict[str, Any] = {"model_type": names.model_type}
    scaling = _rope_scaling(found)
    if scaling:
        values["rope_scaling"] = scaling
    values |= {names.keys[key]: found[key] for key in found if key in names.keys}
    known = (*names.keys, *_INERT_KEYS)
    rest = {key: value for key, value in found.items() if not key.startswith("rope.scaling.") and key not in known}
    try:
        names.derive(rest, values)
    except ValueError as error:
        raise ExportError(f"{file.path}: {prefix}{error}") from None
    return values | {prefix + key: value for key, value in rest.items()}


def _rope_scaling(found: dict[str, Any]) -> dict[str, Any]:
    """rope.scaling.* as Hugging Face's rope_scaling; empty if frequencies are not scaled."""
    prefix = "rope.scaling."
    scaling = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    if scaling.get("factor") == 1 and all(scaling.get(key, 1) == 1 for key in _ATTENTION_FACTORS):
        return {}
    values = {key: value for key, value in scaling.items() if key not in _INERT_SCALING_KEYS and value != 1}
    # A factor without a type means linear.
    kind = values.pop("type", "linear" if "factor" in values else "none")
    if kind == "yarn" and "yarn_log_multiplier" in values:
        # As in llama.cpp: mscale is assumed equal to mscale_all_dim, and a tenth of it is stored.
        multiplier = values.pop("yarn_log_multiplier")
        values["mscale"] = values["mscale_all_dim"] = multiplier * 10 if isinstance(multiplier, float | int) else multiplier
        values["original_max_position_embeddings"] = scaling.get("original_context_length")
    if kind != "none":
        values["rope_type"] = kind
    return values


def _tensor_name(name: str, names: Architecture) -> str:
    found = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name)
    if found and found[1] is None and found[2] in names.other_names:
        return f"{names.other_names[found[2]]}.{found[3]}"
    if found and found[1] is not None and found[2] in names.layer_names:
        return f"{names.layers}.{found[1]}.{names.layer_names[found[2]]}.{found[3]}"
    return name


def _split_fused(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Older phi2 files have q, k and v in one tensor, each a third of it."""
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        if ".qkv_proj." not in name:
            found[name] = tensor
            continue
        for part, rows in zip("qkv", np.array_split(np.arange(tensor.shape[0]), 3), strict=True):
            found[name.replace("qkv_proj", f"{part}_proj")] = tensor.select_rows(rows)
    if len(found) != len(tensors) + 2 * sum(".qkv_proj." in name for name in tensors):
        raise ExportError(f"{next(iter(tensors.values())).path}: attn_qkv: the file has attn_q, attn_k or attn_v as well")
    return found


def _undo_permutation(tensors: dict[str, StoredTensor], config: ModelConfig) -> None:
    heads = config.size("num_attention_heads")
    counts = {"q_proj": heads, "k_proj": config.size("num_key_value_heads", heads)}
    for name, tensor in tensors.items():
        count = counts.get(name.split(".")[-2] if "." in name else "")
        if count and tensor.shape[0] % (2 * count) == 0:
            tensors[name] = tensor.select_rows(_half_rotation_order(tensor.shape[0], count))


def _half_rotation_order(rows: int, heads: int) -> npt.NDArray[np.int64]:
    """Stored row of every Hugging Face row, int64 [rows]."""
    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)
