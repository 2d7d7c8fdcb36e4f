"""Fixtures of the tests of model updates."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from updates.file_server import FileServer
from updates_support import Command, export_tiny, make_trust, model_command
from youtu_edge.updates.store import ModelStore


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release 1 of a tiny model."""
    return export_tiny(tmp_path_factory.mktemp("first"), "tiny", 1, "--release", "1")


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release 2: other weights, the same tokenizer."""
    return export_tiny(tmp_path_factory.mktemp("second"), "tiny", 2, "--release", "2")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Nothing is installed yet."""
    return ModelStore(tmp_path / "store" / "current")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """Nothing is published yet."""
    for name in ("site", "tls"):
        (tmp_path / name).mkdir()
    with FileServer(tmp_path / "site", tmp_path / "tls").running() as server:
        yield server


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`youtu-edge model …` with the configuration of the `config` fixture."""
    settings = (f"model.path={tmp_path}/store/current", "memory.limit=1G")
    settings += (f"updates.trust_dir={make_trust(tmp_path)}",)

    def run(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        argv = model_command(*arguments, settings=settings)
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env={**os.environ, **options})

    return run
