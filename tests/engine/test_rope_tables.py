"""Rotary tables cover the positions that the cache can hold, which is all that a sequence needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from score import PAGE_TOKENS, open_model, run
from tiny_model import make_tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("rope") / "package")


def test_a_sequence_that_fills_the_cache_is_computed_as_in_a_larger_one(package: Path) -> None:
    runner, _, _ = open_model(package)
    pages = 2
    tokens = [n % 60 + 4 for n in range(pages * PAGE_TOKENS)]
    expected = run(runner, tokens)
    runner.allocate_cache(pages)
    np.testing.assert_array_equal(run(runner, tokens), expected)
    assert runner.context_length == 512  # what requests may ask for is told by the cache's size already


def test_a_page_is_planned_with_the_rotary_rows_that_it_needs(package: Path) -> None:
    runner, _, _ = open_model(package)
    frequencies = len(runner.manifest.rope.inverse_frequencies)
    assert runner.page_bytes == PAGE_TOKENS * (runner.manifest.cache.bytes_per_token + 2 * 4 * frequencies)
