"""The real model of the tests: SmolLM2-135M-Instruct, exported from its GGUF file."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_once import made_once
from youtu_export.__main__ import main as youtu_export

GGUF = Path(__file__).resolve().parents[1] / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def export_smollm2(recipe: str, factory: pytest.TempPathFactory) -> Path:
    """The package, or a skip where the file is not there."""
    if not GGUF.exists():
        pytest.skip(f"models/{GGUF.name} is not there; ./scripts/quickstart fetches it")

    def export(out: Path) -> None:
        assert youtu_export(["gguf", str(GGUF), str(out), "--recipe", recipe]) == 0

    return made_once(factory, f"smollm2-{recipe}", export)
