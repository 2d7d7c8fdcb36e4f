"""Small GGUF files of the llama architecture with random weights, written with the gguf library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from tiny_model import make_tokenizer

Array = npt.NDArray[Any]
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS = 64, 96, 4, 2, 1
KV_WIDTH = HIDDEN // HEADS * KV_HEADS
NORMS = ("attn_norm", "ffn_norm")
SHAPES = {
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (KV_WIDTH, HIDDEN),
    "attn_v": (KV_WIDTH, HIDDEN),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_gate": (FEED_FORWARD, HIDDEN),
    "ffn_up": (FEED_FORWARD, HIDDEN),
    "ffn_down": (HIDDEN, FEED_FORWARD),
}


def random_tensors(seed: int = 0) -> dict[str, Array]:
    """Float32 tensors by GGUF name, with a tied head."""
    random = np.random.default_rng(seed)
    vocab = make_tokenizer().get_vocab_size()
    tensors = {"token_embd.weight": random.standard_normal((vocab, HIDDEN)), "output_norm.weight": np.ones(HIDDEN)}
    for layer in range(LAYERS):
        for norm in NORMS:
            tensors[f"blk.{layer}.{norm}.weight"] = np.ones(HIDDEN)
        for name, shape in SHAPES.items():
            tensors[f"blk.{layer}.{name}.weight"] = random.standard_normal(shape) / 8
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_gguf(
    path: Path,
    tensors: Mapping[str, Array],
    kinds: Mapping[str, str] | None = None,
    *,
    architecture: str = "llama",
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write tensors, quantised to `kinds` (ggml type by tensor name; F32 by default).

    metadata: replaces the default value of a key, None removes it.
    """
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in {**_metadata(), **(metadata or {})}.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)
    for name, tensor in tensors.items():
        kind = gguf.GGMLQuantizationType[(kinds or {}).get(name, "F32")]
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _metadata() -> dict[str, Any]:
    model = json.loads(make_tokenizer().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return {
        "llama.block_count": LAYERS,
        "llama.context_length": 128,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": HIDDEN // HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token.startswith("<|") else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
        "tokenizer.ggml.eos_token_id": 2,
    }
