"""Qwen 3 without experts: Llama with an RMS norm of every query and key head before they are rotated (Yang et al. 2025)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import project_query_key_value, read_grouped_query_spec
from youtu_export.graph.families.pre_norm import PreNormDecoder, gated_feed_forward
from youtu_export.graph.families.qwen2 import reject_windows
from youtu_export.graph.model_spec import ModelSpec

_HEAD_WIDTH = 128
"""Of every size of the model, whatever hidden_size and num_attention_heads say."""


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    reject_windows(checkpoint.config)
    checkpoint.config.get("attention_bias")  # the tensors themselves show it
    return read_grouped_query_spec(checkpoint, "qwen3", head_width=_HEAD_WIDTH)


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=attend_normed,
        feed_forward=gated_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=None,
    ).build(decoder, layer_done)


def attend_normed(decoder: Decoder, path: str, name: str, x: str, layer: int) -> str:
    """Attention with q_norm and k_norm, which all heads of queries and of keys share: [T, heads * width]."""
    graph, spec = decoder.graph, decoder.spec
    counts = (spec.heads, spec.kv_heads, spec.kv_heads)
    qkv = project_query_key_value(decoder, path, name, x, bias=None)
    query, key, value = graph.split(f"{path}/qkv/Split", qkv, [heads * spec.head_width for heads in counts])
    query, key = (
        decoder.head_rms_norm(f"{path}/{part}_norm", rows, f"{name}.self_attn.{part}_norm", heads)
        for part, rows, heads in (("q", query, spec.heads), ("k", key, spec.kv_heads))
    )
    return decoder.attention(path, (query, key, value), layer)


QWEN3 = Family("qwen3", "Qwen 3 without experts", ("qwen3",), _read_spec, _build)
