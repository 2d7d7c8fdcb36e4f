"""Packed weights: used when they fit exactly, ignored with a reason otherwise."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tiny_model import make_tiny_package
from youtu_edge.__main__ import main
from youtu_edge.config import Config, ModelConfig
from youtu_edge.engine import prepared
from youtu_edge.engine.opening import open_model
from youtu_edge.engine.prepared import DIRECTORY, find_prepared, prepare
from youtu_edge.engine.runner import Runner
from youtu_edge.errors import PackageError
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
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damaged_packed_weights_are_not_used(
    package: Package, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on with the original weights, and the log names the file."""
    path = prepare(package) / name
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 3] ^= 1
    path.write_bytes(data[: len(data) // 2] if damage == "truncated" else data)
    if damage == "missing":
        path.unlink()
    opened = open_model(Config(model=ModelConfig(path=str(package.root))))
    assert opened.record is None
    assert "used=no" in caplog.text
    assert name in caplog.text
    assert (opened.runner.run([1, 2, 3], [3], [0], [[0]], [2]) == logits(package, None)).all()


def test_damage_beyond_the_first_piece_is_found(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every piece is checked, the last and shorter one too, and one that was cut off is missed."""
    monkeypatch.setattr(prepared, "PIECE_BYTES", 8192)
    prepare(package)
    found = find_prepared(package.root)
    assert found is not None
    assert len(found.record.pieces) > 2
    assert found.damage() == ""
    whole = found.weights.read_bytes()
    for place in (8192, len(whole) - 1):
        found.weights.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "damaged at" in found.damage()


def test_a_damaged_package_is_refused_also_when_its_packed_weights_are_sound(package: Package) -> None:
    """All files that a start reads are checked; weights.bin, which it then does not read, by its size."""
    prepare(package)
    (package.root / "tokenizer.json").write_bytes(b"{}" + bytes((package.root / "tokenizer.json").stat().st_size - 2))
    with pytest.raises(PackageError, match=r"tokenizer\.json: sha256"):
        open_model(Config(model=ModelConfig(path=str(package.root))))


def test_mapped_weights_given_back_are_mapped_again_by_the_next_step(package: Package) -> None:
    """Answers do not change; the pages leave the process and come back."""
    prepare(package)
    opened = open_model(Config(model=ModelConfig(path=str(package.root))))
    mapped = opened.runner.mapped_weights
    assert mapped is not None
    expected = opened.runner.run([1, 2, 3], [3], [0], [[0]], [2]).copy()

    def resident() -> int:
        mappings = Path("/proc/self/smaps").read_text().split("VmFlags")
        ours = [mapping for mapping in mappings if str(opened.package.root) in mapping]
        return sum(int(found) for mapping in ours for found in re.findall(r"^Rss:\s+(\d+) kB", mapping, re.MULTILINE))

    before = resident()
    mapped.give_back_all()
    assert resident() == 0 < before
    assert (opened.runner.run([1, 2, 3], [3], [0], [[0]], [2]) == expected).all()
    mapped.give_back_table()
    assert (opened.runner.run([1, 2, 3], [3], [0], [[0]], [2]) == expected).all()


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
