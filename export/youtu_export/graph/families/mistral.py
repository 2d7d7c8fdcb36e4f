"""Mistral and Ministral: Llama whose layers may attend to a window of the context (Jiang et al. 2023, section 2)."""

from __future__ import annotations

import dataclasses

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.errors import ExportError
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import build_llama, read_grouped_query_spec
from youtu_export.graph.layer_windows import windows_from_config
from youtu_export.graph.model_spec import ModelSpec


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    if not config.names("sliding_window"):
        # Readers differ in what its absence means: 4096, as in the first release, or no window, as in all later ones.
        raise ExportError(f"{config.path}: sliding_window is missing; add it: null if layers attend to the whole context")
    spec = read_grouped_query_spec(checkpoint, "mistral")
    return dataclasses.replace(spec, windows=windows_from_config(config, spec.layers))


MISTRAL = Family("mistral", "Mistral 7B, Ministral 8B", ("mistral", "ministral"), _read_spec, build_llama)
