"""The text model inside of a checkpoint that also sees images (Gemma 3 of 4 billion parameters and more).

Its configuration is the object text_config, which leaves out what has the architecture's default. Its tensors have a
prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.findings import Findings

Values = Mapping[str, Any]

_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma3": {
        "model_type": "gemma3_text",
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    },
}
"""By the model_type of the whole."""
_SHARED = ("quantization_config", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
"""Keys of the whole that hold for its text model."""
_PREFIXES = (
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("model.language_model.", "model."),
)
_IMAGES = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")


def text_config(values: Values) -> Values:
    """The configuration of the text model in a config.json; `values` themselves if they are of one."""
    if not _has_images(values):
        return values
    shared = {key: values[key] for key in _SHARED if key in values}
    return {**_DEFAULTS[values["model_type"]], **shared, **values["text_config"]}


def text_tensors(values: Values, tensors: dict[str, StoredTensor], findings: Findings) -> dict[str, StoredTensor]:
    """The tensors of the text model under their own names; notes that images are left out."""
    if not _has_images(values):
        return tensors
    findings.notes.append("the text model only: the package takes no images")
    return {_name(name): tensor for name, tensor in tensors.items() if not name.startswith(_IMAGES)}


def _has_images(values: Values) -> bool:
    kind, text = values.get("model_type"), values.get("text_config")
    return isinstance(kind, str) and kind in _DEFAULTS and isinstance(text, dict)


def _name(name: str) -> str:
    for prefix, own in _PREFIXES:
        if name.startswith(prefix):
            return own + name.removeprefix(prefix)
    return name
