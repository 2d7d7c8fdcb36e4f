"""Rotary rows that no position of the cache can need are given back, all others stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from score import PAGE_TOKENS, open_model, run
from tiny_model import make_tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("rope") / "package")


def test_a_sequence_that_fills_the_cache_is_computed_as_before(package: Path) -> None:
    runner, _, _ = open_model(package)
    pages = 2
    tokens = [n % 60 + 4 for n in range(pages * PAGE_TOKENS)]
    expected = run(runner, tokens)

    runner.allocate_cache(pages)
    context = runner.context_length
    row_bytes = 2 * 4 * len(runner.manifest.rope.inverse_frequencies)
    assert runner.trim_rope() == (context - pages * PAGE_TOKENS) * row_bytes > 0
    np.testing.assert_array_equal(run(runner, tokens), expected)
    assert runner.context_length == context  # what requests may ask for is told by the cache's size already


def test_a_cache_as_long_as_the_context_needs_every_row(package: Path) -> None:
    runner, _, _ = open_model(package)
    assert runner.trim_rope() == 0
