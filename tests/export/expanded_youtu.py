"""Youtu's forward pass in numpy and float64, keys and values expanded per head as the model is written down in its paper.

The exporter emits the absorbed form; that both agree is what the tests show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def expanded_logits(config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]], ids: list[int]) -> Array:
    """Logits of every position, [T, vocab]."""
    tensors = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    table = tensors["model.embed_tokens.weight"]
    x, epsilon = table[ids], config["rms_norm_eps"]
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        part = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
        x = x + _attention(config, part, _rms(x, part["input_layernorm.weight"], epsilon))
        normed = _rms(x, part["post_attention_layernorm.weight"], epsilon)
        gate = _linear(part, "mlp.gate_proj", normed)
        x = x + _linear(part, "mlp.down_proj", gate / (1 + np.exp(-gate)) * _linear(part, "mlp.up_proj", normed))
    head = tensors.get("lm_head.weight", table)
    logits: Array = _rms(x, tensors["model.norm.weight"], epsilon) @ head.T
    return logits


def _attention(config: Mapping[str, Any], part: Mapping[str, Array], x: Array) -> Array:
    heads, nope, rope = (config[key] for key in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim"))
    rank, tokens = config["kv_lora_rank"], len(x)
    if config["q_lora_rank"] is None:
        q = _linear(part, "self_attn.q_proj", x)
    else:
        q = _rms(_linear(part, "self_attn.q_a_proj", x), part["self_attn.q_a_layernorm.weight"], 1e-6)
        q = _linear(part, "self_attn.q_b_proj", q)
    q_nope, q_rope = np.split(q.reshape(tokens, heads, nope + rope), [nope], axis=2)
    c, k_rope = np.split(_linear(part, "self_attn.kv_a_proj_with_mqa", x), [rank], axis=1)
    kv = _linear(part, "self_attn.kv_b_proj", _rms(c, part["self_attn.kv_a_layernorm.weight"], 1e-6))
    k_nope, v = np.split(kv.reshape(tokens, heads, -1), [nope], axis=2)
    q_rope, k_rope = _rotate(config, q_rope), _rotate(config, k_rope[:, None])[:, 0]
    scores = np.einsum("thd,shd->hts", q_nope, k_nope) + np.einsum("thd,sd->hts", q_rope, k_rope)
    scores = np.where(np.tril(np.ones((tokens, tokens), bool)), scores * _score_scale(config), -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    context = np.einsum("hts,shd->thd", weights / weights.sum(axis=2, keepdims=True), v)
    return _linear(part, "self_attn.o_proj", context.reshape(tokens, -1))


def _rotate(config: Mapping[str, Any], x: Array) -> Array:
    """Rope of x [T, heads, width] at positions 0, 1, …"""
    width = x.shape[2]
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    frequencies = np.array([_frequency(config, theta, index, width) for index in range(width // 2)])
    angles = np.arange(len(x))[:, None] * frequencies
    cos, sin = (function(angles)[:, None] * _rotation_scale(config) for function in (np.cos, np.sin))
    first, second = (x[..., 0::2], x[..., 1::2]) if config["rope_interleave"] else np.split(x, 2, axis=2)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=2)


def _frequency(config: Mapping[str, Any], theta: float, index: int, width: int) -> float:
    """One frequency, divided by a yarn block the more the nearer it is to the one that turns once in the context."""
    plain, yarn = theta ** (-2 * index / width), config.get("rope_scaling") or {}
    if not yarn:
        return float(plain)
    first, last = (
        width * math.log(yarn["original_max_position_embeddings"] / (turns * 2 * math.pi)) / (2 * math.log(theta))
        for turns in (32, 1)
    )
    low, high = max(math.floor(first), 0), min(math.ceil(last), width - 1)
    share = min(max((index - low) / (high - low), 0), 1)
    return float(plain * (share / yarn["factor"] + 1 - share))


def _rotation_scale(config: Mapping[str, Any]) -> float:
    yarn = config.get("rope_scaling") or {"factor": 1.0}
    if "mscale" in yarn:
        return _sharpening(yarn["factor"], yarn["mscale"]) / _sharpening(yarn["factor"], yarn["mscale_all_dim"])
    return _sharpening(yarn["factor"], 1.0)


def _score_scale(config: Mapping[str, Any]) -> float:
    yarn = config.get("rope_scaling") or {"factor": 1.0}
    width = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
    return float(width**-0.5) * _sharpening(yarn["factor"], yarn.get("mscale_all_dim", 0.0)) ** 2


def _sharpening(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1


def _rms(x: Array, gain: Array, epsilon: float) -> Array:
    normed: Array = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + epsilon) * gain
    return normed


def _linear(part: Mapping[str, Array], name: str, x: Array) -> Array:
    y: Array = x @ part[f"{name}.weight"].T + part.get(f"{name}.bias", np.float64(0))
    return y
