"""Cosine, sine and exponential: accurate enough, and bit-identical on every processor."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.elementary import LEAST_EXPONENT, cos_sin, exp_negative


def digest(*arrays: npt.NDArray[Any]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


@given(st.floats(-(2.0**20), 2.0**20, width=32))
def test_cosine_and_sine_of_float32_angles_round_to_the_nearest_float32(angle: float) -> None:
    cos, sin = cos_sin(np.array([angle]))
    assert (np.float32(cos[0]), np.float32(sin[0])) == (np.float32(math.cos(angle)), np.float32(math.sin(angle)))


def test_cosine_and_sine_have_the_same_bits_on_every_processor() -> None:
    cos, sin = cos_sin(np.arange(-100_000, 1_000_000, 7) / 8)
    assert digest(cos, sin) == "a101787bad8eef5c"


@given(st.floats(LEAST_EXPONENT, 0), st.sampled_from([np.float32, np.float64]))
def test_an_exponential_is_off_by_some_units_in_the_last_place(value: float, kind: type[np.floating[Any]]) -> None:
    x = np.array([value], dtype=kind)
    assert exp_negative(x).dtype == x.dtype
    assert exp_negative(x)[0] == pytest.approx(math.exp(float(x[0])), rel=2 * float(np.finfo(kind).eps))


def test_what_is_far_below_zero_has_no_weight() -> None:
    assert exp_negative(np.array([0.0, -87.5, -1e30, -np.inf], dtype=np.float32)).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert exp_negative(np.zeros(0)).tolist() == []


def test_exponentials_have_the_same_bits_on_every_processor() -> None:
    x = np.arange(-900_000, 1, 7) / 10_000
    assert digest(exp_negative(x), exp_negative(x.astype(np.float32))) == "743f4bfb04dab624"
