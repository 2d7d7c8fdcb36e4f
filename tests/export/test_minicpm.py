"""MiniCPM is in no transformers: its checkpoints are granite's under other keys, with transformers' logits of granite."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.minicpm_from_granite import as_minicpm
from export.package_runner import PackageRunner
from reference_data import copy_tiny_random, tiny_random_figures
from youtu_export.__main__ import main


@pytest.mark.parametrize("name", ["granite-tied", "granite-untied"])
def test_float_logits_and_greedy_tokens_are_those_of_the_same_granite(
    name: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every logit of the last prompt token within 2e-4, and sixteen greedy tokens."""
    checkpoint, figures = copy_tiny_random(name, tmp_path / "checkpoint"), tiny_random_figures(name)
    as_minicpm(checkpoint)
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    runner = runner_of(tmp_path / "package")
    assert runner.computes(figures["prompts"])
