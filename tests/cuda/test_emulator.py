"""The emulator detects GPU faults: missing barriers, diverged lanes, unaligned loads."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cuda.conftest import ROOT, EmulatorMemory
from made_once import made_once

LAUNCH_FAILURE = 719


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    sources = ROOT / "daemon/youtu_edge/ops/cuda"
    options = ["-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-fPIC", "-shared", "-x", "c++", f"-I{sources}"]

    def make(path: Path) -> None:
        files = [str(sources / name) for name in ("emulator.cc", "emulated_device.cc")]
        files.append(str(Path(__file__).with_name("synchronisation.cu")))
        subprocess.run([os.environ.get("CXX", "c++"), *options, *files, "-o", str(path)], check=True)

    loaded = ctypes.CDLL(str(made_once(tmp_path_factory, "libsynchronisation.so", make)))
    loaded.youtu_emulator_failure.restype = ctypes.c_char_p
    return loaded


def neighbours(library: ctypes.CDLL, order: int, barrier: bool) -> NDArray[np.float32]:
    output = np.zeros(64, np.float32)
    library.youtu_emulator_set_order(order)
    assert library.neighbour(output.ctypes.data_as(ctypes.c_void_p), 64, int(barrier)) == 0
    return output


def test_a_barrier_lets_every_thread_see_what_the_others_wrote(library: ctypes.CDLL) -> None:
    for order in range(5):
        assert np.array_equal(neighbours(library, order, barrier=True), (np.arange(64) + 1) % 64)


def test_without_it_the_result_depends_on_the_order_of_threads(library: ctypes.CDLL) -> None:
    """Shared memory begins as NaN, so that even one order alone shows it."""
    results = [neighbours(library, order, barrier=False) for order in range(3)]
    assert not np.array_equal(results[0], results[1], equal_nan=True)
    assert np.isnan(results[0][:63]).all()


def test_an_exchange_that_half_of_a_warp_misses_fails_the_launch(library: ctypes.CDLL) -> None:
    output = np.zeros(32, np.float32)
    assert library.half_warp(output.ctypes.data_as(ctypes.c_void_p), 1) == 0
    assert np.array_equal(output, np.arange(32) ^ 1)
    assert library.half_warp(output.ctypes.data_as(ctypes.c_void_p), 0) == LAUNCH_FAILURE
    assert library.youtu_emulator_failure() == b"thread 0 waits for threads that do not come"
    assert library.half_warp(output.ctypes.data_as(ctypes.c_void_p), 1) == 0  # and the next launch is good again


def test_a_load_that_is_not_aligned_fails_the_launch(library: ctypes.CDLL) -> None:
    memory, output = EmulatorMemory().put(np.arange(64, dtype=np.uint8)), np.zeros(32, np.uint32)
    target = output.ctypes.data_as(ctypes.c_void_p)
    assert library.words(ctypes.c_void_p(memory.address + 16), target) == 0
    assert output[0] == int.from_bytes(bytes([16, 17, 18, 19]), "little")
    assert library.words(ctypes.c_void_p(memory.address + 4), target) == LAUNCH_FAILURE
    assert library.youtu_emulator_failure() == b"a load is not aligned"


def test_a_load_beyond_the_end_of_an_array_ends_the_process(library: ctypes.CDLL, tmp_path: Path) -> None:
    """After every array there is a guard page."""
    program = (
        f"import ctypes, sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import numpy as np\n"
        "from gpu.memory import EmulatorMemory\n"
        f"library = ctypes.CDLL({library._name!r})\n"
        "held, output = EmulatorMemory().put(np.zeros(64, np.uint8)), np.zeros(32, np.uint32)\n"
        "library.words(ctypes.c_void_p(held.address + int(sys.argv[1])), output.ctypes.data_as(ctypes.c_void_p))\n"
    )
    for offset, code in ((48, 0), (64, -11)):
        command = [sys.executable, "-c", program, str(offset)]
        assert subprocess.run(command, check=False).returncode == code
