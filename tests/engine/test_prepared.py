"""Packed weights: used when they fit exactly, ignored with a reason otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tiny_model import make_tiny_package
from youtu_edge.__main__ import main
from youtu_edge.engine.prepared import DIRECTORY, find_prepared, prepare
from youtu_edge.engine.runner import Runner
from youtu_edge.package import Package, open_package


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with 4-bit weights, so that there is something to pack."""
    return make_tiny_package(tmp_path_factory.mktemp("prepared") / "package", recipe="q4")


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Package:
    """A copy that the test may change."""
    return open_package(shutil.copytree(original, tmp_path / "package"))


def logits(package: Package, graph: Path | None) -> np.ndarray:
    """Of one short prompt."""
    runner = Runner(package, page_tokens=16, threads=1, spin_us=0, context_length=64, graph=graph)
    runner.allocate_cache(4)
    return runner.run([1, 2, 3], [3], [0], [[0]], [2]).copy()


def test_packed_weights_give_the_same_logits_and_the_package_stays_valid(package: Package) -> None:
    """Not one bit of the answer changes, and verification ignores the addition."""
    prepare(package)
    found = find_prepared(package.root)
    assert found is not None
    assert (logits(package, found.graph) == logits(package, None)).all()
    assert open_package(package.root).manifest == package.manifest


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin", "prepared.json"])
def test_damaged_packed_weights_are_not_used(package: Package, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The daemon goes on with the original weights, and the log names what is wrong."""
    path = prepare(package) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert find_prepared(package.root) is None
    assert "used=no" in caplog.text


def test_packed_weights_of_another_machine_are_not_used(package: Package, caplog: pytest.LogCaptureFixture) -> None:
    """A card that moves to another board is recognised by its CPU."""
    record = prepare(package) / "prepared.json"
    text = record.read_text()
    fingerprint = text.split('"fingerprint":"')[1][:64]
    record.write_text(text.replace(fingerprint, "0" * 64))
    assert find_prepared(package.root) is None
    assert "another package, CPU or ONNX Runtime" in caplog.text


def test_preparing_again_replaces_and_leaves_nothing_behind(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    """The command may be repeated; no temporary directory stays."""
    for _ in range(2):
        assert main(["model", "prepare", str(package.root)]) == 0
    assert "used from the next start on" in capsys.readouterr().out
    assert {p.name for p in package.root.iterdir() if p.is_dir()} == {DIRECTORY}
