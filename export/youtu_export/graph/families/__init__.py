"""Model families, one short file each."""

from __future__ import annotations

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.unsupported import unsupported
from youtu_export.errors import ExportError
from youtu_export.graph.families.chatglm import CHATGLM
from youtu_export.graph.families.chatglm_first import CHATGLM_FIRST, is_first_generation
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.gemma3 import GEMMA3
from youtu_export.graph.families.granite import GRANITE, MINICPM
from youtu_export.graph.families.internlm import INTERNLM
from youtu_export.graph.families.llama import LLAMA
from youtu_export.graph.families.mistral import MISTRAL
from youtu_export.graph.families.phi import PHI
from youtu_export.graph.families.phi3 import PHI3
from youtu_export.graph.families.qwen2 import QWEN2
from youtu_export.graph.families.qwen3 import QWEN3
from youtu_export.graph.families.smollm3 import SMOLLM3
from youtu_export.graph.families.youtu import YOUTU

ALL_FAMILIES = (
    LLAMA, YOUTU, QWEN2, QWEN3, MISTRAL, SMOLLM3, GEMMA3, GRANITE, MINICPM, INTERNLM, PHI, PHI3, CHATGLM, CHATGLM_FIRST,
)  # fmt: skip
FAMILIES: dict[str, Family] = {model_type: family for family in ALL_FAMILIES for model_type in family.model_types}


def family_of(checkpoint: Checkpoint) -> Family:
    """The family of a checkpoint by its model_type. Raises ExportError for an unknown one."""
    model_type = checkpoint.config.text("model_type")
    if model_type not in FAMILIES:
        raise ExportError(f"{checkpoint.config.path}: {unsupported(model_type, FAMILIES)}")
    if model_type == "chatglm" and is_first_generation(checkpoint.config):
        return CHATGLM_FIRST
    return FAMILIES[model_type]
