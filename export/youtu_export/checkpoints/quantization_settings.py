"""quantization_config of config.json: the types of the fields that are read, for all formats together."""

from __future__ import annotations

from typing import Any

import msgspec

from youtu_edge.json_file import JsonError, checked
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.errors import ExportError


class _Weights(msgspec.Struct):
    num_bits: int | None = None
    type: str | None = None
    strategy: str | None = None
    group_size: int | None = None
    symmetric: bool | None = None
    actorder: str | bool | None = None


class _Group(msgspec.Struct):
    weights: _Weights | None = None
    input_activations: dict[str, Any] | None = None
    output_activations: dict[str, Any] | None = None


class _Settings(msgspec.Struct):
    quant_method: str
    bits: int | None = None
    w_bit: int | None = None
    group_size: int | None = None
    q_group_size: int | None = None
    zero_point: bool | None = None
    version: str | None = None
    sym: bool | None = None
    desc_act: bool | None = None
    checkpoint_format: str | None = None
    format: str | None = None
    config_groups: dict[str, _Group] = {}


def read_settings(config: ModelConfig) -> dict[str, Any] | None:
    """The settings unchanged, or None for a checkpoint that is not quantised. Raises ExportError naming the field."""
    settings: dict[str, Any] | None = config.get("quantization_config")
    if settings is not None:
        try:
            checked(settings, _Settings)
        except JsonError as error:
            raise ExportError(f"{config.path}: quantization_config: {error}") from None
    return settings
