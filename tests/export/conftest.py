"""Fixtures and helpers of the exporter's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.changed_files import tiny_checkpoint
from export.package_runner import PackageRunner
from youtu_edge.ops import library_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The real GGUF, if it was fetched."""
    path = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists():
        pytest.skip("models/SmolLM2-135M-Instruct.Q4_1.gguf is not there; ./scripts/quickstart fetches it")
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny checkpoint in Hugging Face's format, which the test may change."""
    return tiny_checkpoint(tmp_path)


@pytest.fixture(scope="session")
def _operators() -> None:
    try:
        library_path()
    except FileNotFoundError:
        pytest.skip("the operator library is not built; scripts/build builds it")


@pytest.fixture
def runner_of(_operators: None) -> type[PackageRunner]:
    """Runs packages; skips where the operator library was never built."""
    return PackageRunner
