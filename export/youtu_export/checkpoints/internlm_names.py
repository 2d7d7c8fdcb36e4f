"""InternLM 2's tensors under the names of Llama, of which it is a variant with q, k and v in one tensor.

    wqkv, for each key-value head:   the query heads that share it | key | value      each `head_width` rows

Rows are only selected, so quantised ones stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.stored_tensor import StoredTensor, naming

_FUSED = "attention.wqkv"
_LAYER_NAMES = {
    "attention_norm": "input_layernorm", "attention.wo": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "feed_forward.w1": "mlp.gate_proj", "feed_forward.w3": "mlp.up_proj", "feed_forward.w2": "mlp.down_proj",
}  # fmt: skip
_OTHER_NAMES = {"model.tok_embeddings": "model.embed_tokens", "output": "lm_head"}


def with_llama_names(config: ModelConfig, tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """`tensors` under the names of Llama if they are InternLM 2's. Raises ExportError for a fused one of another shape."""
    if config.get("model_type") != "internlm2":
        return tensors
    return {name: tensor for stored in tensors for name, tensor in _renamed(config, stored, tensors[stored])}


def _renamed(config: ModelConfig, name: str, tensor: StoredTensor) -> Iterator[tuple[str, StoredTensor]]:
    found = re.fullmatch(r"(model\.layers\.\d+)\.([\w.]+)\.(\w+)", name)
    if found is None:
        stem, _, kind = name.rpartition(".")
        yield f"{_OTHER_NAMES.get(stem, stem)}.{kind}", tensor
    elif found[2] == _FUSED:
        for part, rows in _parts(config, tensor):
            yield f"{found[1]}.self_attn.{part}_proj.{found[3]}", rows
    else:
        yield f"{found[1]}.{_LAYER_NAMES.get(found[2], found[2])}.{found[3]}", tensor


def _parts(config: ModelConfig, tensor: StoredTensor) -> Iterator[tuple[str, StoredTensor]]:
    heads = config.size("num_attention_heads")
    groups = config.size("num_key_value_heads", heads)
    with naming(tensor):
        if heads % groups or tensor.shape[0] % (heads + 2 * groups):
            raise ValueError(f"{tensor.shape[0]} rows do not divide into {heads} heads and twice {groups}")
    width = tensor.shape[0] // (heads + 2 * groups)
    rows = np.arange(tensor.shape[0], dtype=np.int64).reshape(groups, heads // groups + 2, width)
    for part, own in (("q", rows[:, :-2]), ("k", rows[:, -2]), ("v", rows[:, -1])):
        yield part, tensor.select_rows(own.reshape(-1))
