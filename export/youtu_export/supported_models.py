"""The table of `youtu-export families`."""

from __future__ import annotations

from youtu_export.checkpoints.gguf_architectures import ARCHITECTURES
from youtu_export.graph.families import ALL_FAMILIES
from youtu_export.graph.families.family import Family

_HEADS = ("family", "models", "model_type", "GGUF")
_SHARED = {"mistral": "llama", "minicpm": "minicpm"}
"""GGUF's architecture of families whose files are read as those of another one."""
_MEMORY = """\
Weights of recipe q4 take about 0.6 GB per billion parameters, and the cache of a conversation some hundred MB. A board of
1 GB serves up to 0.5B, of 2 GB up to 1.2B, of 4 GB up to 3B, of 8 GB up to 8B: docs/models.md lists well-known models, and
`youtu-edge plan` computes it exactly."""


def supported_models() -> str:
    """Families with their models and names in both formats, and what fits which board."""
    rows = [_HEADS, *((family.name, family.models, *_names(family)) for family in ALL_FAMILIES)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _MEMORY])


def _names(family: Family) -> tuple[str, str]:
    """In config.json, and in GGUF; - where it has none."""
    architectures = [name for name, found in ARCHITECTURES.items() if found.model_type in family.model_types]
    return ", ".join(family.model_types) or "-", ", ".join(architectures) or _SHARED.get(family.name, "-")
