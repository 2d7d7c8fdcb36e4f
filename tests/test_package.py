"""What the device accepts and rejects as a package."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tiny_model import make_tiny_package
from youtu_edge import file_digest
from youtu_edge import package as module
from youtu_edge.__main__ import main
from youtu_edge.errors import PackageError
from youtu_edge.package import (
    CHAT_TEMPLATE,
    MANIFEST,
    WEIGHTS,
    Package,
    check_file,
    file_entry,
    open_package,
    read_manifest,
)

PIECE = 4096


def _set_piece_bytes(patch: pytest.MonkeyPatch, size: int) -> None:
    for owner in (module, file_digest):
        patch.setattr(owner, "PIECE_BYTES", size)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose larger files have a checksum for every 4 KB."""
    with pytest.MonkeyPatch.context() as patch:
        _set_piece_bytes(patch, PIECE)
        return make_tiny_package(tmp_path_factory.mktemp("packages") / "tiny", recipe="q4")


@pytest.fixture
def in_pieces(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _set_piece_bytes(monkeypatch, PIECE)
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


def _resealed(root: Path, text: str) -> None:
    """Write manifest.json with a checksum that is right."""
    blank = re.sub('"checksum": "[0-9a-f]{64}"', f'"checksum": "{"0" * 64}"', text)
    (root / MANIFEST).write_text(blank.replace("0" * 64, hashlib.sha256(blank.encode()).hexdigest(), 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": -1}, "context_length: Expected `int` >= 1"),
        ({"context_length": 2**40}, "context_length: Expected `int` <="),
        ({"vocab_size": 10**12}, "vocab_size: Expected `int` <="),
        ({"cache": {"layout": "LATENT", "layers": 10**8, "kv_heads": 1, "width": 8, "dtype": "float16"}}, "cache.layers: "),
        ({"cache": [1]}, "cache: Expected `object`, got `array`"),
        ({"rope": {"inverse_frequencies": []}}, "rope.inverse_frequencies: Expected `array` of length >= 1"),
        ({"rope": {"inverse_frequencies": [-1.0]}}, r"rope.inverse_frequencies\[0\]: Expected `float` > 0"),
        ({"rope": {"inverse_frequencies": [1.0], "scale": "2"}}, "rope.scale: Expected `float`, got `str`"),
        ({"eos_token_ids": [276]}, "eos_token_ids: 276 is outside the vocabulary of 276"),
        ({"bos_token_id": 10**9}, "bos_token_id: 1000000000 is outside the vocabulary"),
        ({"template_variables": {"a": 1}}, r"template_variables\[...\]: Expected `str`, got `int`"),
        ({"files": {"a": {"size": -1, "sha256": ""}}}, r"files\[...\].size: Expected `int` >= 0"),
        ({"quality": [[]]}, "quality: Expected `object`, got `array`"),
        ({"quality": {"a": json.loads("[" * 70 + "]" * 70)}}, "nested deeper than 64"),
    ],
)
def test_a_manifest_field_of_the_wrong_type_or_range_is_named(
    made: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Though its checksum is right: what makes memory and loops of these fields comes later."""
    copy = shutil.copytree(made, tmp_path / "package")
    _resealed(copy, json.dumps(json.loads((copy / MANIFEST).read_text()) | changes, indent=2))
    with pytest.raises(PackageError, match=rf"manifest\.json: .*{message}"):
        read_manifest(copy)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"name": 1, "name": 2}', "[]", '{"a": NaN}', "\xff", '{"a": "\\ud800"}'])
def test_a_manifest_that_is_no_json_object_within_bounds_is_refused(made: Path, tmp_path: Path, text: str) -> None:
    copy = shutil.copytree(made, tmp_path / "package")
    (copy / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(PackageError, match=r"manifest\.json: not .*JSON"):
        read_manifest(copy)


def test_a_chat_template_that_is_no_text_is_refused_by_name(in_pieces: Path) -> None:
    package = Package(in_pieces, read_manifest(in_pieces))
    (in_pieces / CHAT_TEMPLATE).write_bytes(b"\xff\xfe")
    with pytest.raises(PackageError, match=r"chat_template\.jinja: not a text file"):
        package.read_text(CHAT_TEMPLATE)


def test_what_a_manifest_says_is_shown_and_does_nothing_to_a_terminal(
    in_pieces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and figures come from another source."""
    odd = {"name": "\x1b[31mred\nline", "quality": {"\x07": "\x1b]0;t\x07"}, "source": {"a\nb": "c\nd"}}
    _resealed(in_pieces, json.dumps(json.loads((in_pieces / MANIFEST).read_text()) | odd, indent=2))
    assert main(["model", "show", str(in_pieces)]) == 0
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert r"\x1b[31mred\nline" in shown
