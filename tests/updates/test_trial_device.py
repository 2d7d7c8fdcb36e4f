"""A new version of a model is tried on the CPU, whatever device the daemon uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_model import make_tiny_package
from youtu_edge.config import Config, EngineConfig, MemoryConfig
from youtu_edge.package import open_package
from youtu_edge.updates.trial import try_package


def test_a_trial_needs_no_gpu_where_the_daemon_does(tmp_path: Path) -> None:
    """The daemon's engine has it."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    package = make_tiny_package(tmp_path / "package", recipe="q4")
    config = Config(engine=EngineConfig(device="cuda", threads=1), memory=MemoryConfig(limit="2G"))
    told: list[str] = []
    try_package(open_package(package), config, told.append)
    assert told
