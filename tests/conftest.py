"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A test asserts no timing, hypothesis' own deadline included: the machine may be busy.
settings.register_profile("youtu-edge", deadline=None)
settings.load_profile("youtu-edge")


@pytest.fixture(scope="session")
def smollm2_q4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M with the integer codes of its GGUF; exported once for all tests."""
    from smollm2 import export_smollm2  # the exporter and its libraries are for those who need them

    return export_smollm2("q4", tmp_path_factory.mktemp("smollm2"))
