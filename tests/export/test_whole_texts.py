"""A tokenizer file's truncation and padding, left over from training, are never applied in the exporter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tiny_model import make_tiny_checkpoint, make_tiny_package
from youtu_edge.golden import GOLDEN
from youtu_edge.package import TOKENIZER, Package, read_manifest
from youtu_export.awq.calibration import SAMPLE, read_calibration
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.checkpoints.tokenizer_file import make_tokenizer, read_tokenizer
from youtu_export.quality.golden import write_golden
from youtu_export.quality.quality import read_text

PROMPTS = ("a", "a text of more than four tokens, which is what the tokenizer below would leave of it")


def _cutting(text: str) -> str:
    """The tokenizer.json `text` with truncation to 4 tokens and padding to 64."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    return str(tokenizer.to_str())


@pytest.mark.usefixtures("_operators")
def test_golden_and_quality_of_a_package_of_an_older_exporter(tmp_path: Path) -> None:
    """Its tokenizer.json may still have both; verify reads it through the same function."""
    root = make_tiny_package(tmp_path / "package")
    package = Package(root, read_manifest(root))

    def windows_and_golden() -> tuple[list[list[int]], bytes]:
        write_golden(root, package.manifest, PROMPTS)
        return read_text(SAMPLE, package, 700).windows, (root / GOLDEN).read_bytes()

    expected = windows_and_golden()
    assert sum(map(len, expected[0])) >= 700
    text = (root / TOKENIZER).read_text()
    (root / TOKENIZER).write_text(_cutting(text))
    assert windows_and_golden() == expected
    ids = [make_tokenizer(root / TOKENIZER, contents).encode(PROMPTS[1]).ids for contents in (text, _cutting(text))]
    assert ids[0] == ids[1]


def test_calibration(tmp_path: Path) -> None:
    assets = open_hf(make_tiny_checkpoint(tmp_path)).assets
    cutting = dataclasses.replace(assets, tokenizer=_cutting(assets.tokenizer))
    assert read_calibration(SAMPLE, cutting).windows == read_calibration(SAMPLE, assets).windows


def test_a_checkpoint_that_is_read(tmp_path: Path) -> None:
    """Neither the tokenizer that is made of it nor the text that goes into the package."""
    path = make_tiny_checkpoint(tmp_path) / TOKENIZER
    whole, text = path.read_text(), _cutting(path.read_text())
    tokenizer, written = read_tokenizer(path, text)
    ids = Tokenizer.from_str(whole).encode(PROMPTS[1]).ids
    assert tokenizer.encode(PROMPTS[1]).ids == ids
    assert Tokenizer.from_str(written).encode(PROMPTS[1]).ids == ids
