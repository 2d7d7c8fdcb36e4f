"""SmolLM3: Llama in which every fourth layer has no rotary embedding (Yang et al. 2025, "Rope to Nope and back again")."""

from __future__ import annotations

import dataclasses

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.errors import ExportError
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import build_llama, read_grouped_query_spec
from youtu_export.graph.families.qwen2 import reject_windows
from youtu_export.graph.model_spec import ModelSpec

_INTERVAL = 4
"""Of the layers without rotary embedding, in configurations that do not list them."""


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    reject_windows(config)
    for bias in ("attention_bias", "mlp_bias"):
        config.get(bias)  # the tensors themselves show it
    spec = read_grouped_query_spec(checkpoint, "smollm3")
    # Unlike others, this architecture ties its head where the key is absent.
    tied = config.flag("tie_word_embeddings", default=True)
    return dataclasses.replace(spec, tied_head=tied, unrotated=_unrotated(config, spec.layers))


def _unrotated(config: ModelConfig, layers: int) -> frozenset[int]:
    """Layers whose entry in no_rope_layers is 0: the name says the opposite of what its values mean."""
    interval = config.integer("no_rope_layer_interval", _INTERVAL)
    rotated = config.items("no_rope_layers") or [int((layer + 1) % interval != 0) for layer in range(layers)]
    if len(rotated) < layers:
        raise ExportError(f"{config.path}: no_rope_layers: {len(rotated)} entries for {layers} layers")
    for value in rotated:
        if value not in (0, 1):
            raise ExportError(f"{config.path}: no_rope_layers: {value!r} is neither 0 nor 1")
    return frozenset(layer for layer in range(layers) if not rotated[layer])


SMOLLM3 = Family("smollm3", "SmolLM3", ("smollm3",), _read_spec, build_llama)
