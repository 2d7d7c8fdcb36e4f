"""Qwen 1.5, 2 and 2.5: Llama with biases on q, k and v (Yang et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import grouped_query_attention, read_grouped_query_spec
from youtu_export.graph.families.pre_norm import PreNormDecoder, gated_feed_forward
from youtu_export.graph.model_spec import ModelSpec


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    reject_windows(checkpoint.config)
    return read_grouped_query_spec(checkpoint, "qwen2")


def reject_windows(config: ModelConfig) -> None:
    """Raise ExportError if a layer does not attend to the whole context."""
    config.only("use_sliding_window", (False,), False)
    for key in ("sliding_window", "max_window_layers"):
        config.get(key)  # without effect while use_sliding_window is off
    config.reject_window_layers()


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=grouped_query_attention(bias=True),
        feed_forward=gated_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=False,
    ).build(decoder, layer_done)


QWEN2 = Family(
    "qwen2",
    "Qwen 1.5, 2 and 2.5 without experts, and DeepSeek-R1's distillations to Qwen 2.5",
    ("qwen2",),
    _read_spec,
    _build,
)
