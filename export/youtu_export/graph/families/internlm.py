"""InternLM 2, 2.5 and 3: Llama with other names (Cai et al. 2024, section 2.2).

The names of the second are translated when its checkpoint is read (`checkpoints.internlm_names`).
"""

from __future__ import annotations

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.llama import build_llama, read_grouped_query_spec
from youtu_export.graph.model_spec import ModelSpec


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    for key in ("bias", "qkv_bias", "attn_implementation"):
        checkpoint.config.get(key)  # the tensors themselves show the biases
    return read_grouped_query_spec(checkpoint, "internlm")


INTERNLM = Family("internlm", "InternLM 2, 2.5 and 3 without experts", ("internlm2", "internlm3"), _read_spec, build_llama)
