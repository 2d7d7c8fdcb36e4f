"""A GGUF file as a checkpoint: Hugging Face names for its tensors and hyperparameters.

Llama's conversion to GGUF permutes the rows of q and k per head, so that rope rotates neighbours. Undone here by row order,
which leaves every quantised row as it is:

    Hugging Face row   head h, half s, pair j        stored row   h * width + 2 j + s
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoint import Checkpoint, TextAssets, sampling_defaults
from youtu_export.errors import ExportError
from youtu_export.gguf_file import GgufFile, read_gguf
from youtu_export.gguf_tokenizer import build_tokenizer, end_token_ids, start_token_id
from youtu_export.model_config import ModelConfig
from youtu_export.stored_tensor import StoredTensor

_CONFIG_KEYS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
}
_CHECKED_KEYS = ("attention.value_length", "rope.dimension_count")
_INERT_KEYS = ("attention.causal",)
_INERT_SCALING_KEYS = ("original_context_length", "orig_ctx_len", "finetuned")

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_PERMUTED_FAMILIES = ("llama",)


def open_gguf(path: Path) -> Checkpoint:
    """Open one GGUF file. Raises ExportError naming the file and what is wrong with it."""
    file = read_gguf(path)
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ExportError(f"{path}: general.architecture is missing")
    tensors = {_tensor_name(name): tensor for name, tensor in file.tensors.items()}
    values = _config_values(file, architecture)
    values["tie_word_embeddings"] = "lm_head.weight" not in tensors
    if "vocab_size" not in values and "model.embed_tokens.weight" in tensors:
        values["vocab_size"] = tensors["model.embed_tokens.weight"].shape[0]
    config = ModelConfig(path, values)
    if architecture in _PERMUTED_FAMILIES:
        _undo_permutation(tensors, config)
    return Checkpoint(path, "gguf", config, tensors, _assets(file))


def _config_values(file: GgufFile, architecture: str) -> dict[str, Any]:
    """Metadata of the architecture under the names of config.json; unknown keys keep theirs, to be refused later."""
    prefix = architecture + "."
    found = {key.removeprefix(prefix): value for key, value in file.metadata.items() if key.startswith(prefix)}
    values: dict[str, Any] = {"model_type": architecture}
    for key, value in found.items():
        if key in _CONFIG_KEYS:
            values[_CONFIG_KEYS[key]] = value
        elif not key.startswith("rope.scaling.") and key not in (*_CHECKED_KEYS, *_INERT_KEYS):
            values[prefix + key] = value
    scaling = _rope_scaling(found)
    if scaling:
        values["rope_scaling"] = scaling
    hidden, heads, head_width = found.get("embedding_length"), found.get("attention.head_count"), values.get("head_dim")
    if head_width is None and isinstance(hidden, int) and isinstance(heads, int) and heads > 0:
        head_width = hidden // heads
    for key in _CHECKED_KEYS:
        if found.get(key, head_width) != head_width:
            raise ExportError(f"{file.path}: {prefix}{key}: {found[key]} instead of the head's width {head_width}")
    return values


def _rope_scaling(found: dict[str, Any]) -> dict[str, Any]:
    """rope.scaling.* as Hugging Face's rope_scaling; empty when frequencies are not scaled."""
    prefix = "rope.scaling."
    scaling = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    values = {key: value for key, value in scaling.items() if key not in _INERT_SCALING_KEYS and value != 1}
    # A factor without a type means linear.
    kind = values.pop("type", "linear" if "factor" in values else "none")
    if kind != "none":
        values["rope_type"] = kind
    return values


def _tensor_name(name: str) -> str:
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if found and found[2] in _LAYER_NAMES:
        return f"model.layers.{found[1]}.{_LAYER_NAMES[found[2]]}.{found[3]}"
    return name


def _undo_permutation(tensors: dict[str, StoredTensor], config: ModelConfig) -> None:
    heads = config.integer("num_attention_heads")
    counts = {"q_proj": heads, "k_proj": config.integer("num_key_value_heads", heads)}
    for name, tensor in tensors.items():
        count = counts.get(name.split(".")[-2] if "." in name else "")
        if count and tensor.shape[0] % (2 * count) == 0:
            tensors[name] = tensor.select_rows(_half_rotation_order(tensor.shape[0], count))


def _half_rotation_order(rows: int, heads: int) -> npt.NDArray[np.int64]:
    """Stored row of every Hugging Face row, int64 [rows]."""
    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)


def _assets(file: GgufFile) -> TextAssets:
    metadata = file.metadata
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    variables = {}
    for role in ("bos", "eos"):
        token_id = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if isinstance(token_id, int) and token_id < len(tokens):
            variables[f"{role}_token"] = tokens[token_id]
    names = {"temp": "temperature", "penalty_repeat": "repetition_penalty"}
    prefix = "general.sampling."
    sampling = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    return TextAssets(
        tokenizer=build_tokenizer(file.path, metadata).to_str(),
        chat_template=metadata.get("tokenizer.chat_template"),
        generation=sampling_defaults({names.get(key, key): value for key, value in sampling.items()}),
        eos_token_ids=end_token_ids(file.path, metadata),
        bos_token_id=start_token_id(file.path, metadata),
        template_variables=variables,
    )
