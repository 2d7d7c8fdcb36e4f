"""Which processors agree: all whose kernels are here. A processor that computed other bits would fail at the digests below,
which were found equal on x86-64 (AVX-512 VNNI, AVX-VNNI, AVX2, portable) and, emulated, on ARM64 (dotprod and portable)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ops.operators import instruction_sets, select_instruction_set
from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import Package, open_package
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.export import export
from youtu_export.quantise.recipes import RECIPES


def digest(package: Package) -> str:
    """Of the logits of a prompt of 24 tokens and of the token after it."""
    runner = Runner(package, page_tokens=16, threads=2, spin_us=0, context_length=64)
    runner.allocate_cache(4)
    tokens = [(index * 7919 + 13) % package.manifest.vocab_size for index in range(24)]
    prompt = runner.run(tokens, [24], [0], [[2, 0]], list(range(24)))
    found = hashlib.sha256(prompt.tobytes())
    found.update(runner.run([5], [1], [24], [[2, 0]], [0]).tobytes())
    return found.hexdigest()[:16]


def digests(package: Package) -> dict[str, str]:
    """By instruction set."""
    found = {}
    for name in instruction_sets():
        select_instruction_set(name)
        try:
            found[name] = digest(package)
        finally:
            select_instruction_set(instruction_sets()[0])
    return found


def test_smollm2_has_the_same_logits_on_every_processor(smollm2_q4: Path) -> None:
    package = open_package(smollm2_q4)
    assert package.manifest.reproducible
    assert set(digests(package).values()) == {"c38dea574085a20b"}


@pytest.mark.parametrize(("recipe", "expected"), [("q4", "32f1b585ec582e0e"), ("q8", "f92f7938e3524007")])
def test_youtu_nano_has_the_same_logits_on_every_processor(
    recipe: str, expected: str, nano_checkpoint: Path, tmp_path: Path
) -> None:
    export(open_hf(nano_checkpoint), tmp_path / "nano", RECIPES[recipe], name="nano")
    assert set(digests(open_package(tmp_path / "nano")).values()) == {expected}
