"""The image for ARM64: compiled for it on this processor, and run in emulation; YOUTU_EDGE_NIGHTLY=1 asks for it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.container import Container
from containers.image import ROOT, Image, build, why_not
from daemon_process import chat

sys.path.insert(0, str(ROOT / "scripts"))

from emulation.root import why_not as why_no_emulation

pytestmark = [
    pytest.mark.skipif(os.environ.get("YOUTU_EDGE_NIGHTLY") != "1", reason="takes minutes: set YOUTU_EDGE_NIGHTLY=1"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="compiles for ARM64 on x86-64"),
]


@pytest.fixture
def arm64(tmp_path: Path) -> Iterator[Image]:
    """Nothing of the build is there beforehand: the build stage compiles, and fetches what the wheel requires."""
    if reason := why_not() or why_no_emulation():
        pytest.skip(reason)
    build(tmp_path / "image", "arm64")
    yield Image(tmp_path / "image")
    shutil.rmtree(tmp_path / "image")


def test_the_image_for_arm64_answers(arm64: Image, models: Path, tmp_path: Path) -> None:
    """As the one for this machine: healthy, stopped with exit status 0."""
    assert arm64.architecture == "arm64"
    settings = ("--set=service.load_deadline_s=900", "--set=service.step_deadline_s=600")
    with Container(arm64, tmp_path, models, command=settings, emulated_cpu="cortex-a76") as container:
        container.wait_ready(600)
        assert container.run("uname", "-m").stdout.strip() == "aarch64"
        status, answer = container.post("/v1/chat/completions", chat("Hello", max_tokens=8), timeout_s=300)
        assert (status, answer["usage"]["completion_tokens"]) == (200, 8)
        assert container.check_health().returncode == 0
        assert container.stop()[0] == 0
