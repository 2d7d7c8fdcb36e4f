"""What `youtu-export families` prints, and what the refusal of another model says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from export.known_configs import KNOWN_CONFIGS
from export.refusal import refusal
from export.small_families import CONFIGS, random_tensors, write_checkpoint
from export.small_gguf import write_gguf
from youtu_export.__main__ import main
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.gguf_architectures import ARCHITECTURES
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.text_part import text_config
from youtu_export.checkpoints.unsupported import NEAREST
from youtu_export.errors import ExportError
from youtu_export.graph.families import ALL_FAMILIES, FAMILIES, family_of
from youtu_export.graph.model_spec import ModelSpec

DOCUMENT = Path(__file__).parents[2] / "docs" / "package-format.md"


def test_the_command_lists_what_the_document_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """Family, models, and the names in both formats."""
    assert main(["families"]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"^\| (\S+) \| (.+) \| (.+) \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {row[0]: row for row in rows if row[0] in {family.name for family in ALL_FAMILIES}}
    assert len(documented) == len(ALL_FAMILIES)
    for line in printed.splitlines()[1 : 1 + len(ALL_FAMILIES)]:
        name, models, model_types, architectures = re.split(r" {2,}", line)
        row = documented[name]
        assert row[1] == models
        assert row[2].startswith(model_types.replace("-", ""))
        assert row[3].startswith(architectures.replace("-", ""))
    assert "A board of" in printed


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("qwen3_moe", "; the nearest is qwen3, but this one has experts"),
        ("gemma2", "; the nearest is gemma3, but this one has soft caps"),
        ("phi4mm", "; the nearest is phi3, but this one has images and speech"),
    ],
)
def test_an_unsupported_model_is_told_the_nearest_family(
    architecture: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In both formats; GGUF joins the words of a name."""
    checkpoint = write_checkpoint(
        tmp_path / "checkpoint", CONFIGS["qwen3"] | {"model_type": architecture}, random_tensors(CONFIGS["qwen3"])
    )
    assert reason in refusal(capsys, tmp_path, "hf", str(checkpoint))
    file = write_gguf(
        tmp_path / "m.gguf", {"token_embd.weight": np.ones((4, 4), np.float32)}, architecture=architecture.replace("_", "")
    )
    assert reason in refusal(capsys, tmp_path, "gguf", str(file))


def test_the_nearest_families_exist_and_none_is_refused() -> None:
    """A family that becomes supported leaves the table."""
    assert {nearest for nearest, _ in NEAREST.values()} <= {family.name for family in ALL_FAMILIES}
    assert not NEAREST.keys() & (FAMILIES.keys() | ARCHITECTURES.keys())


@pytest.mark.parametrize("name", KNOWN_CONFIGS)
def test_a_well_known_configuration_is_supported_or_refused_for_a_reason(name: str) -> None:
    """Every key of a published config.json is understood, or one is named that is not."""
    config, expected = KNOWN_CONFIGS[name]
    text = text_config(config)
    checkpoint = Checkpoint(Path(name), "hf", ModelConfig(Path(name), text), {})
    if expected not in {family.name for family in ALL_FAMILIES}:
        with pytest.raises(ExportError, match=re.escape(expected)):
            _read_all(checkpoint)
        return
    spec = _read_all(checkpoint)
    assert spec.family == expected
    assert spec.hidden == text["hidden_size"]


def _read_all(checkpoint: Checkpoint) -> ModelSpec:
    spec = family_of(checkpoint).read_spec(checkpoint)
    spec.reject_contradictions(checkpoint.config.path)
    checkpoint.config.reject_unread()
    return spec
