"""A step stopped early measures the same memory as a whole step takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from score import open_model, run
from tiny_model import make_tiny_package
from youtu_edge.engine.memory.activations import measure_memory

# In separate processes: an allocator that has grown before grows less.
SCRIPT = """
import sys
from pathlib import Path
from score import open_model
from youtu_edge.engine.memory.activations import measure_memory
from youtu_edge.engine.memory.process_memory import holding, untouched_bytes

runner = open_model(Path(sys.argv[2]), 4096)[0]
weights = Path(sys.argv[2]) / "weights.bin"
if sys.argv[1] == "stopped":
    print(*measure_memory(runner, weights, 4096, 4))
else:
    runner.allocate_cache(128)
    for cache in runner.caches:
        cache.fill(0)
    before = holding().resident + untouched_bytes(weights)
    logits = runner.run([0] * 4096, [4096], [0], [list(range(128))], list(range(4)))
    print(before - 128 * runner.page_bytes, holding().resident + untouched_bytes(weights) - before)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With enough layers that the step is stopped long before its end."""
    out = tmp_path_factory.mktemp("activations") / "package"
    return make_tiny_package(out, recipe="q4", layers=24, context_length=4096)


def measured(package: Path, how: str) -> list[int]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, how, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [int(size) for size in done.stdout.split()]


def test_a_stopped_step_takes_what_a_whole_one_takes(package: Path) -> None:
    stopped, whole = measured(package, "stopped"), measured(package, "whole")
    assert min(whole) > 8_000_000
    # Now and then a page of a library's code that was not in memory before counts with its neighbours: up to 1.2 MB.
    assert stopped == pytest.approx(whole, rel=0.1, abs=1.5e6)


def test_logits_are_as_before_when_a_step_was_stopped(package: Path) -> None:
    """Nothing of the stopped step is left, neither in the cache nor in the session."""
    runner, _, _ = open_model(package)
    expected = run(runner, [1, 2, 3])
    for _ in range(3):
        assert measure_memory(runner, package / "weights.bin", 256, 4)[1] >= 4 * runner.manifest.vocab_size * 4
        assert (run(runner, [1, 2, 3]) == expected).all()
