"""The CUDA kernels without a GPU: compiled by nvcc where there is one, and run thread by thread on this processor."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cuda.emulated_gpu import EmulatedGpu
from made_once import made_once

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from gpu.kernels import Kernels  # noqa: E402
from gpu.memory import EmulatorMemory  # noqa: E402

BUILD = ROOT / "scripts" / "build-ops-cuda"
ARCHITECTURES = ("87", "90") if os.environ.get("YOUTU_EDGE_NIGHTLY") == "1" else ("87",)
"""Orin; by night also the GPU of scripts/gpu-check, for which the compiler takes as long again."""


def compiler() -> str | None:
    return os.environ.get("NVCC") or shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


@dataclass
class Build:
    """The output files and messages of nvcc."""

    library: Path
    messages: str
    ptx: list[str]  # of every source that has kernels


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The library for `ARCHITECTURES`."""
    if compiler() is None:
        pytest.skip("nvcc is not installed")

    def make(path: Path) -> None:
        kept = path.with_suffix(".kept")
        kept.mkdir()
        command = [str(BUILD), "--arch", " ".join(ARCHITECTURES), "--output", str(path), "--keep", str(kept)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=lambda: os.nice(10))
        assert result.returncode == 0, result.stdout + result.stderr
        path.with_suffix(".log").write_text(result.stdout + result.stderr, encoding="utf-8")

    library = made_once(tmp_path_factory, "libyoutu_edge_ops_cuda.so", make)
    ptx = [path.read_text(encoding="utf-8") for path in sorted(library.with_suffix(".kept").glob("*.ptx"))]
    ptx = [text for text in ptx if ".entry" in text]
    return Build(library, library.with_suffix(".log").read_text(encoding="utf-8"), ptx)


@pytest.fixture(scope="session")
def emulator_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(
        tmp_path_factory,
        "libyoutu_edge_ops_cuda_emulator.so",
        lambda path: subprocess.run([str(BUILD), "--emulator", "--output", str(path)], check=True) and None,
    )


@pytest.fixture(scope="session")
def emulator(emulator_path: Path) -> Kernels:
    return Kernels(emulator_path, EmulatorMemory())


@pytest.fixture(params=[0, 1, 2, 3], ids=["ascending", "descending", "shuffled", "shuffled-again"])
def kernels(request: pytest.FixtureRequest, emulator: Kernels) -> Kernels:
    """The emulator, with threads in one order between barriers: a result that depends on it lacks a barrier."""
    emulator.library.youtu_emulator_set_order(request.param)
    return emulator


@pytest.fixture
def gpu(emulator_path: Path) -> Iterator[EmulatedGpu]:
    """The emulated GPU; checks that no memory is allocated before and after a test."""
    emulated = EmulatedGpu(emulator_path)
    gc.collect()
    emulated.free_scratch()
    assert emulated.blocks == 0
    yield emulated
    emulated.fail(0)
    emulated.set()
    gc.collect()
    emulated.free_scratch()
    assert emulated.blocks == 0, "memory of the device outlived its runner"
