"""nvcc compiles the kernels for both architectures without a warning, and what they take of a GPU is within limits."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from gpu.kernels import INTERFACE

from cuda.conftest import ARCHITECTURES, BUILD, ROOT, Build

# 65,536 registers of a multiprocessor: with 160 of each of its 128 threads, three thread blocks fit.
MOST_REGISTERS = {"linear_few": 160, "linear_many": 128, "attend": 128}
MOST_REGISTERS_ELSEWHERE = 64
KERNELS = {
    "quantise",
    "linear_few",
    "linear_many",
    "embedding",
    "rms_norm",
    "swiglu",
    "geglu",
    "store_tokens",
    "attend",
    "merge_segments",
}


class Usage(NamedTuple):
    kernel: str
    architecture: str
    stack: int
    spilled: int
    registers: int
    static_shared: int


def usages(messages: str) -> Iterator[Usage]:
    """What `ptxas -v` says of every kernel."""
    for part in messages.split("Compiling entry function ")[1:]:
        head = re.match(r"'_ZN5youtu4cuda(\d+)(\w+)' for 'sm_(\d+)'", part)
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        used = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        assert head, part
        assert frame, part
        assert used, part
        name = head[2][: int(head[1])]
        spilled = int(frame[2]) + int(frame[3])
        yield Usage(name, head[3], int(frame[1]), spilled, int(used[1]), int(shared[1]) if shared else 0)


def test_every_kernel_is_compiled_for_every_architecture(built: Build) -> None:
    found = {(usage.kernel, usage.architecture) for usage in usages(built.messages)}
    assert found == {(kernel, architecture) for kernel in KERNELS for architecture in ARCHITECTURES}


def test_no_kernel_keeps_variables_in_memory_or_takes_too_many_registers(built: Build) -> None:
    """A spilled register would be read from memory in the innermost loop."""
    for usage in usages(built.messages):
        assert usage.stack == usage.spilled == 0, usage
        assert usage.registers <= MOST_REGISTERS.get(usage.kernel, MOST_REGISTERS_ELSEWHERE), usage
        assert usage.static_shared == 0, usage  # all of it is asked for at the launch


def test_the_library_loads_without_a_driver_and_refuses_what_is_not_supported(built: Build) -> None:
    """Sizes are checked before anything is asked of a GPU."""
    library = ctypes.CDLL(str(built.library))
    assert library.youtu_cuda_interface() == INTERFACE
    assert library.youtu_cuda_swiglu(None, None, ctypes.c_int64(1), ctypes.c_int64(0), None) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--arch"], "--arch needs a value"),
        (["--arch", "75"], "75 is no compute capability from 80 on"),
        (["--fast"], "unknown argument --fast"),
    ],
)
def test_the_script_says_what_is_wrong_with_its_arguments(arguments: list[str], told: str) -> None:
    result = subprocess.run([str(BUILD), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert told in result.stderr


def test_every_instruction_rounds_to_nearest_even(built: Build) -> None:
    """Neither fused by the compiler's own choice nor approximate, nor without subnormal numbers: the CPU's bits."""
    assert built.ptx
    rounding = r"(?:add|sub|mul|fma|div|rcp|sqrt)"
    for ptx in built.ptx:
        operations = set(re.findall(r"^\s+([a-z0-9]+(?:\.[a-z0-9]+)*\.f(?:32|64))\s", ptx, re.MULTILINE))
        arithmetic = {name for name in operations if re.match(rf"{rounding}\.", name)}
        assert arithmetic
        assert all(re.fullmatch(rf"{rounding}\.rn\.f32", name) for name in arithmetic), arithmetic
        assert not re.search(r"\.(approx|ftz|full)\b|\b(ex2|lg2|rsqrt|tanh)\.", ptx)


def test_tensor_cores_and_dot_products_are_used(built: Build) -> None:
    ptx = "".join(built.ptx)
    assert "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in ptx
    assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in ptx
    assert "dp4a.s32.s32" in ptx
    assert "ld.global.nc.v4.u32" in ptx


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    command = [str(BUILD), "--output", str(tmp_path / "x.so")]
    environment = {"PATH": os.environ["PATH"], "NVCC": "/nowhere/nvcc"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "build-ops-cuda: /nowhere/nvcc is no nvcc that runs: NVCC names it\n"


def test_onnx_runtime_is_built_for_orin_with_what_its_cuda_can(tmp_path: Path) -> None:
    """Only the commands: it was not run on a board."""
    script = ROOT / "scripts" / "build-onnxruntime-gpu"
    command = [str(script), "--dry-run", "--python", "python3", "--jobs", "3", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "CMAKE_CUDA_ARCHITECTURES=87" in told
    assert "--use_cuda" in told
    assert "--parallel 3" in told
    assert list(tmp_path.iterdir()) == []
    wrong = subprocess.run([str(script), "--fast"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "unknown argument --fast" in wrong.stderr
