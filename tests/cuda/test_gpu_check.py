"""scripts/gpu-check: all that needs no GPU of it."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gpu import timings
from gpu.memory import GpuMemory
from gpu.shaped_package import strip

from cuda.conftest import ROOT, Kernels
from made_once import made_once
from tiny_model import make_tiny_package

SCRIPT = ROOT / "scripts" / "gpu-check"


def test_a_dry_run_checks_every_kernel_and_lists_every_timing(tmp_path: Path, emulator_path: Path) -> None:
    """The emulator takes the GPU's place."""
    output = tmp_path / "result.json"
    command = [sys.executable, str(SCRIPT), "--dry-run", "--emulator", str(emulator_path), "--output", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert document["good"]
    assert {check["kernel"] for check in document["checks"]} == {
        "quantise", "linear", "embedding", "rms_norm", "swiglu", "geglu", "attention",
    }  # fmt: skip
    assert all(check["cases"] > 0 and check["differing_bits"] == 0 for check in document["checks"])
    timings = document["timings"]["results"]
    assert {timing["rows"] for timing in timings if timing["name"].startswith("Linear")} == {1, 8, 128}
    assert all(timing["bytes"] > 0 and timing["seconds"] is None for timing in timings)


@pytest.fixture(scope="module")
def runtime_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A libcudart.so whose GPU is this processor."""
    source = Path(__file__).with_name("fake_runtime.cc")
    command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", "-fPIC", "-shared", str(source), "-o"]
    return made_once(
        tmp_path_factory, "libcudart.so", lambda path: subprocess.run([*command, str(path)], check=True) and None
    )


def test_on_a_gpu_kernels_are_compared_with_the_emulator_too(
    tmp_path: Path, emulator_path: Path, runtime_path: Path
) -> None:
    """All that a GPU would do is done by a runtime that stands for one."""
    output = tmp_path / "result.json"
    command = [sys.executable, str(SCRIPT), "--parts", "a", "--cases", "3", "--runtime", str(runtime_path), "--output"]
    command += [str(output), "--library", str(emulator_path), "--emulator", str(emulator_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert document["device"]["cuda"] == 13000
    assert {check["kernel"]: check["cases"] for check in document["checks"]}["attention"] == 3
    assert all(check["values"] > 0 for check in document["checks"])  # SwiGLU's and attention's bits, too


def test_timings_are_seconds_of_a_launch_beside_copies(
    monkeypatch: pytest.MonkeyPatch, emulator_path: Path, runtime_path: Path
) -> None:
    """Graphs of launches are recorded, run and freed; here every graph takes 3 ms."""
    monkeypatch.setattr(timings, "COLD_BYTES", 1 << 20)
    monkeypatch.setattr(timings, "SHAPES", (timings.LinearShape("small", 64, 40, block=32, offset="zero_points"),))
    monkeypatch.setattr(timings, "LAUNCHES", 4)
    monkeypatch.setattr(timings, "DECODE", ((2, 30),))
    monkeypatch.setattr(timings, "PREFILL", 3)
    runtime = ctypes.CDLL(str(runtime_path))
    memory = GpuMemory(runtime)
    kernels, stopwatch = Kernels(emulator_path, memory), timings.Stopwatch(memory)
    handles = runtime.fake_handles()
    copies = timings.Copies(memory, stopwatch)
    results = timings.time_linear(kernels, memory, stopwatch, copies)
    assert [timing.rows for timing in results] == list(timings.ROWS)
    turns = 256  # all that are cold together, but no more
    assert results[0].bytes == 64 * 40 // 2 + 64 * 40 // 32 * 3
    assert results[0].seconds == pytest.approx(0.003 / turns)
    assert results[0].part_of_copy == pytest.approx(results[0].bytes / results[0].seconds / copies.large)
    results = timings.time_attention(kernels, memory, stopwatch, copies)
    assert [timing.name for timing in results] == ["PagedAttention decode, 2 x 30", "PagedAttention prefill of 3"]
    assert all(timing.seconds and timing.part_of_equal_copy for timing in results)
    assert runtime.fake_handles() == handles
    del copies, results
    gc.collect()
    assert runtime.fake_allocations() == 0


def test_a_wrong_kernel_is_told_and_ends_with_status_1(emulator_path: Path, tmp_path: Path) -> None:
    """The definition with another rounding stands for a wrong kernel."""
    program = tmp_path / "wrong.py"
    program.write_text(
        "import runpy, sys\n"
        f"sys.path[:0] = [{str(ROOT / 'scripts')!r}, {str(ROOT / 'tests')!r}]\n"
        "from ops import reference\n"
        "reference.fma = lambda a, b, c: a * b + c\n"
        f"sys.argv = ['gpu-check', '--dry-run', '--parts', 'a', '--emulator', {str(emulator_path)!r}]\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    result = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    document = json.loads(result.stdout)
    assert not document["good"]
    linear = next(check for check in document["checks"] if check["kernel"] == "linear")
    assert linear["failed"]
    assert "values differ" in linear["failed"][0]


def test_without_a_gpu_the_reason_is_one_line() -> None:
    """Where no CUDA is installed either, that is the reason."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine seems to have a GPU")
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "--library", "/nowhere.so"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("gpu-check: ")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_dry_run_of_the_engine_gives_every_figure(tmp_path: Path, emulator_path: Path) -> None:
    """On a package without weights, as it is carried to the machine: they are drawn there."""
    package, carried = make_tiny_package(tmp_path / "package", recipe="q4"), tmp_path / "carried"
    strip(package, carried)
    assert not (carried / "weights.bin").exists()
    output = tmp_path / "result.json"
    command = [sys.executable, str(SCRIPT), "--dry-run", "--parts", "c", "--package", str(carried), "--output", str(output)]
    result = subprocess.run([*command, "--emulator", str(emulator_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (engine,) = json.loads(output.read_text(encoding="utf-8"))["engine"]
    assert engine["good"]
    assert engine["tokens"] == {"prompts": 2, "tokens": 6, "equal": 2, "near_ties": [], "wrong": []}
    assert engine["recovery"] == {"told_before_the_kill": 3, "equal": True, "bytes_not_given_back": 0}
    assert set(engine["decode_tokens_per_second"]) == {"1", "8"}
    assert engine["memory"]["weights_file_bytes"] == (package / "weights.bin").stat().st_size
    assert engine["prefill_seconds"] > 0


def test_part_c_without_a_package_and_with_a_broken_one_is_explained(tmp_path: Path, emulator_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--dry-run", "--parts", "c"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "part c needs --package" in result.stderr
    command += ["--package", str(tmp_path / "none"), "--emulator", str(emulator_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "none" in json.loads(result.stdout)["engine"][0]["error"]
