"""The real model of the tests: SmolLM2-135M-Instruct, exported from its GGUF file."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtu_export.__main__ import main as youtu_export

GGUF = Path(__file__).resolve().parents[1] / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def export_smollm2(recipe: str, directory: Path) -> Path:
    """The package, or a skip where the file is not there."""
    if not GGUF.exists():
        pytest.skip(f"models/{GGUF.name} is not there; ./scripts/quickstart fetches it")
    out = directory / f"smollm2-{recipe}"
    assert youtu_export(["gguf", str(GGUF), str(out), "--recipe", recipe]) == 0
    return out
