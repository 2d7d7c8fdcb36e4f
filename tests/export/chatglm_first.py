"""ChatGLM-6B, the first generation, in plain numpy: the whole sequence at once, float64, a mask instead of a cache.

Written from the published model code's behaviour, and in another order than the exporter: q, k and v stay head by head as
they are stored, positions and mask are computed from the token ids.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from export.small_families import Tensors
from tiny_model import SPECIAL_TOKENS, make_tokenizer

Float64 = npt.NDArray[np.float64]
HIDDEN, INNER, HEADS, LAYERS = 64, 96, 4, 3
WIDTH = HIDDEN // HEADS
TOKENIZER = make_tokenizer()
GMASK, SOP = (TOKENIZER.token_to_id(token) for token in SPECIAL_TOKENS[1:3])
CONFIG: dict[str, Any] = {
    "model_type": "chatglm",
    "hidden_size": HIDDEN,
    "inner_hidden_size": INNER,
    "num_attention_heads": HEADS,
    "num_layers": LAYERS,
    "layernorm_epsilon": 1e-5,
    "max_sequence_length": 128,
    "position_encoding_2d": True,
    "vocab_size": TOKENIZER.get_vocab_size(),
    "gmask_token_id": GMASK,
    "mask_token_id": GMASK,
    "bos_token_id": SOP,
    "pad_token_id": 3,
    "eos_token_id": TOKENIZER.token_to_id(SPECIAL_TOKENS[0]),
}


def random_tensors(seed: int = 0) -> Tensors:
    """Weights of a size that keeps activations near one."""
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.word_embeddings.weight": (CONFIG["vocab_size"], HIDDEN),
        "lm_head.weight": (CONFIG["vocab_size"], HIDDEN),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attention.query_key_value", 3 * HIDDEN, HIDDEN),
            ("attention.dense", HIDDEN, HIDDEN),
            ("mlp.dense_h_to_4h", INNER, HIDDEN),
            ("mlp.dense_4h_to_h", HIDDEN, INNER),
        ):
            shapes[f"transformer.layers.{layer}.{name}.weight"] = (rows, columns)
            shapes[f"transformer.layers.{layer}.{name}.bias"] = (rows,)
    norms = [f"transformer.layers.{n}.{part}" for n in range(LAYERS) for part in ("input", "post_attention")]
    for norm in [*(f"{name}_layernorm" for name in norms), "transformer.final_layernorm"]:
        shapes |= {f"{norm}.weight": (HIDDEN,), f"{norm}.bias": (HIDDEN,)}
    tensors = {}
    for name, shape in shapes.items():
        values = random.standard_normal(shape, dtype=np.float32)
        is_gain = "norm" in name and name.endswith("weight")
        scale = np.float32(0.2 if len(shape) == 1 else 1.5 * shape[1] ** -0.5)
        tensors[name] = values * scale + np.float32(is_gain)
    return tensors


def write_checkpoint(directory: Path, tensors: Tensors, **changes: Any) -> Path:
    """A new directory in Hugging Face's format."""
    directory.mkdir()
    TOKENIZER.save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(CONFIG | changes))
    save_file(tensors, directory / "model.safetensors")
    return directory


def logits(tensors: Tensors, ids: list[int]) -> Float64:
    """Of every token, float64 [T, vocab]; `ids` contain <sop> once."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    count, context = len(ids), ids.index(SOP)
    assert ids[context - 1] == GMASK
    positions, blocks = np.arange(count), np.zeros(count, int)
    positions[context:] = context - 1
    blocks[context:] = 1 + np.arange(count - context)
    visible = np.tril(np.ones((count, count), bool))
    visible[:, :context] = True

    def linear(x: Float64, name: str) -> Float64:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Float64, name: str) -> Float64:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + CONFIG["layernorm_epsilon"])
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["transformer.word_embeddings.weight"][ids]
    alpha = math.sqrt(2 * LAYERS)
    for layer in range(LAYERS):
        name = f"transformer.layers.{layer}"
        normed = norm(x, f"{name}.input_layernorm")
        fused = linear(normed, f"{name}.attention.query_key_value").reshape(count, HEADS, 3 * WIDTH)
        q, k, v = np.split(fused, 3, axis=-1)
        q, k = (
            np.concatenate([_rotate(p, positions), _rotate(r, blocks)], -1) for p, r in (np.split(t, 2, -1) for t in (q, k))
        )
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(WIDTH)
        scores = np.where(visible, scores, -np.inf)
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", weight, v).reshape(count, HIDDEN)
        x = alpha * normed + linear(attended, f"{name}.attention.dense")
        normed = norm(x, f"{name}.post_attention_layernorm")
        inner = linear(normed, f"{name}.mlp.dense_h_to_4h")
        inner = 0.5 * inner * (1 + np.tanh(0.7978845608028654 * inner * (1 + 0.044715 * inner * inner)))
        x = alpha * normed + linear(inner, f"{name}.mlp.dense_4h_to_h")
    found: Float64 = norm(x, "transformer.final_layernorm") @ weights["lm_head.weight"].T
    return found


def _rotate(x: Float64, positions: npt.NDArray[np.int64]) -> Float64:
    """[T, heads, width] turned by halves."""
    width = x.shape[-1]
    angles = positions[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    cos, sin = (np.concatenate([f(angles)] * 2, axis=1)[:, None] for f in (np.cos, np.sin))
    turned = np.concatenate([-x[..., width // 2 :], x[..., : width // 2]], axis=-1)
    return x * cos + turned * sin
