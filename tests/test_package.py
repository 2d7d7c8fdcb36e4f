"""What the device accepts as a package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tiny_model import make_tiny_package
from youtu_edge import package as module
from youtu_edge.errors import PackageError
from youtu_edge.package import MANIFEST, WEIGHTS, check_file, file_entry, open_package, read_manifest

PIECE = 4096


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose larger files have a checksum for every 4 KB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_BYTES", PIECE)
        return make_tiny_package(tmp_path_factory.mktemp("packages") / "tiny", recipe="q4")


@pytest.fixture
def in_pieces(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "PIECE_BYTES", PIECE)
    return shutil.copytree(made, tmp_path / "package")


def test_large_files_have_a_checksum_for_each_piece(in_pieces: Path) -> None:
    """Beside that of the whole, which does not depend on the pieces; small ones have only that."""
    files = read_manifest(in_pieces).files
    assert len(files[WEIGHTS].pieces) == -(-files[WEIGHTS].size // PIECE)
    assert files["generation.json"].pieces == []
    assert "pieces" not in json.loads((in_pieces / MANIFEST).read_text())["files"]["generation.json"]
    assert file_entry(in_pieces / WEIGHTS) == files[WEIGHTS]


def test_every_byte_of_every_piece_counts(in_pieces: Path) -> None:
    """A flipped bit in the first, a middle and the last piece is found and placed."""
    weights = in_pieces / WEIGHTS
    original = weights.read_bytes()
    for at in (0, len(original) // 2, len(original) - 1):
        damaged = bytearray(original)
        damaged[at] ^= 1
        weights.write_bytes(damaged)
        with pytest.raises(PackageError, match=r"weights\.bin: sha256 does not match at 0 MiB: .*copy it again"):
            open_package(in_pieces)
    weights.write_bytes(original)
    open_package(in_pieces)


def test_progress_counts_every_byte(in_pieces: Path) -> None:
    """It never goes back and ends at the sum of all sizes."""
    seen: list[tuple[int, int]] = []
    package = open_package(in_pieces, progress=lambda done, total: seen.append((done, total)))
    total = sum(entry.size for entry in package.manifest.files.values())
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)
    assert len(seen) > total // PIECE // 2


def test_a_file_that_was_left_unread_can_be_checked_later(in_pieces: Path) -> None:
    """Opening looks at its size only."""
    damaged = bytearray((in_pieces / WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (in_pieces / WEIGHTS).write_bytes(damaged)
    package = open_package(in_pieces, unread=(WEIGHTS,))
    with pytest.raises(PackageError, match=r"weights\.bin: sha256 does not match"):
        check_file(package, WEIGHTS)


def test_pieces_that_do_not_fit_the_size_are_refused(in_pieces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is too short would leave bytes unchecked."""
    monkeypatch.setattr(module, "PIECE_BYTES", PIECE // 2)
    with pytest.raises(PackageError, match="pieces do not fit its size; export the model again"):
        open_package(in_pieces)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (1, r"format version 1 .*reads version 2: export the model again \(youtu-export gguf\|hf SOURCE OUT\)"),
        (3, "format version 3 is newer than 2.*update youtu-edge"),
        (0, "format version 0 is unknown"),
        ("2", "format version '2' is unknown"),
        (None, "format version None is unknown"),
    ],
)
def test_another_format_version_is_refused_with_the_remedy(
    made: Path, tmp_path: Path, version: object, message: str
) -> None:
    """Before the checksum is looked at, whose meaning may be another."""
    copy = shutil.copytree(made, tmp_path / "package")
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"format_version": version}))
    with pytest.raises(PackageError, match=message):
        open_package(copy)
