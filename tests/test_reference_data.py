"""The reference data in the project matches its README and stays small."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from reference_data import DATA, NANO, TINY_RANDOM

LARGEST_BYTES = 16_000_000
"""Of all files together. Every clone has them, and git's history keeps what was ever among them."""


def test_the_weights_are_those_that_the_references_were_computed_from(nano_checkpoint: Path) -> None:
    """Checksum and size, packed and unpacked, as the table in README.md has them."""
    rows = re.findall(r"\| `([0-9a-f]{64})` \| ([\d,]+) \| `(.+)` \|", (DATA / "README.md").read_text(encoding="utf-8"))
    documented = {name: (digest, int(size.replace(",", ""))) for digest, size, name in rows}
    files = [nano_checkpoint / "model.safetensors", NANO / "model.safetensors.xz"]
    found = {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size) for path in files}
    assert found == documented


def test_every_random_checkpoint_is_used() -> None:
    names = {path.parent.name for path in (DATA / "tiny-random").glob("*/config.json")}
    assert names == set(TINY_RANDOM)


def test_a_clone_stays_small() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= LARGEST_BYTES
