"""Rotary tables: their values, which are identical on every processor."""

from __future__ import annotations

import hashlib
import math
import tracemalloc

import numpy as np

from youtu_edge.package import Rope
from youtu_edge.rotary import rotary_tables

ROPE = Rope([1.0, 0.6402, 0.03125, 0.001, 6.2e-7], scale=1.3)


def test_rows_are_the_cosines_and_sines_of_the_float32_angles() -> None:
    """Up to the largest context that a model was trained for."""
    positions = 131_072
    cos, sin = rotary_tables(ROPE, positions)
    assert cos.shape == sin.shape == (positions, len(ROPE.inverse_frequencies))
    scale = np.float32(ROPE.scale)
    for position in [0, 1, 2, 777, 6_553, 6_554, *range(100_003, positions, 1_009), positions - 1]:
        for index, frequency in enumerate(ROPE.inverse_frequencies):
            angle = float(np.float32(position) * np.float32(frequency))
            assert cos[position, index] == np.float32(math.cos(angle)) * scale
            assert sin[position, index] == np.float32(math.sin(angle)) * scale


def test_they_have_the_same_bits_on_every_processor() -> None:
    cos, sin = rotary_tables(ROPE, 20_000)
    assert hashlib.sha256(cos.tobytes() + sin.tobytes()).hexdigest().startswith("0b5935c4cd14386a")


def test_long_tables_need_little_more_memory_than_they_take() -> None:
    tracemalloc.start()
    try:
        cos, sin = rotary_tables(Rope([0.5**n for n in range(32)]), 50_000)
        assert tracemalloc.get_traced_memory()[1] < cos.nbytes + sin.nbytes + 5_000_000
    finally:
        tracemalloc.stop()
