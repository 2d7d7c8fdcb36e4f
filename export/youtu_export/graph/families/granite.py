"""Granite 3 without experts, and MiniCPM: Llama with scaled embeddings, residuals and logits (Hu et al. 2024, section 3).

x = embedding * E(tokens)        x = x + residual * block(norm(x)), twice a layer        logits = head(norm(x)) / logits
"""

from __future__ import annotations

import dataclasses
import math

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import build_llama, read_grouped_query_spec
from youtu_export.graph.model_spec import ModelSpec, Multipliers

_MINICPM_BASE = 10000.0
"""Of the rope, in configurations without rope_theta."""


def _read_granite(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    for bias in ("attention_bias", "mlp_bias"):
        config.get(bias)  # the tensors themselves show it
    multipliers = Multipliers(
        embedding=config.number("embedding_multiplier"),
        residual=config.number("residual_multiplier"),
        logits=1 / config.number("logits_scaling"),
    )
    scale = config.number("attention_multiplier")
    spec = read_grouped_query_spec(checkpoint, "granite")
    return dataclasses.replace(spec, multipliers=multipliers, attention_scale=scale)


def _read_minicpm(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.get("mup_denominator")  # of the training
    spec = read_grouped_query_spec(checkpoint, "minicpm", rope_base=_MINICPM_BASE)
    multipliers = Multipliers(
        embedding=config.number("scale_emb"),
        residual=config.number("scale_depth") / math.sqrt(spec.layers),
        logits=config.number("dim_model_base") / spec.hidden,
    )
    # Unlike others, this architecture ties its head where the key is absent; a head that is stored is used.
    tied = config.flag("tie_word_embeddings", default=not checkpoint.has("lm_head.weight"))
    return dataclasses.replace(spec, multipliers=multipliers, tied_head=tied)


GRANITE = Family("granite", "Granite 3 without experts", ("granite",), _read_granite, build_llama)
MINICPM = Family(
    "minicpm", "MiniCPM 1, 2 and 4 without experts and sparse attention", ("minicpm",), _read_minicpm, build_llama
)
