"""Inverse frequencies of rotary embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.errors import ExportError
from youtu_export.graph.rope import inverse_frequencies, rope_from_config

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def _frequencies(width: int = 128, factors: Any = None, **values: Any) -> np.ndarray:
    return np.array(rope_from_config(ModelConfig(Path("config.json"), values), width, factors).inverse_frequencies)


@pytest.mark.parametrize(("theta", "width"), [(1e4, 64), (1e5, 64), (5e5, 128), (1.6e6, 64)])
def test_frequencies_are_float32_powers(theta: float, width: int) -> None:
    """Within one unit in the last place of the exact power, and representable in float32."""
    found = inverse_frequencies(theta, width)
    exact = theta ** (-np.arange(0, width, 2) / width)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_theta_is_found_in_both_places() -> None:
    """transformers 5 moved it into rope_parameters."""
    old = _frequencies(rope_theta=5e5)
    np.testing.assert_array_equal(_frequencies(rope_parameters={"rope_theta": 5e5, "rope_type": "default"}), old)


def test_llama3_keeps_fast_frequencies_and_divides_slow_ones() -> None:
    """Wavelengths below 2048 are kept, those above 8192 divided by 8, those between lie between."""
    plain, scaled = _frequencies(rope_theta=5e5), _frequencies(rope_theta=5e5, rope_scaling=LLAMA3)
    wavelengths = 2 * np.pi / plain
    fast, slow = wavelengths < 2048, wavelengths > 8192
    np.testing.assert_array_equal(scaled[fast], plain[fast])
    np.testing.assert_allclose(scaled[slow], plain[slow] / 8, rtol=1e-6)
    between = ~(fast | slow)
    assert between.any()
    assert ((scaled[between] < plain[between]) & (scaled[between] > plain[between] / 8)).all()


def test_factors_of_a_gguf_divide() -> None:
    """rope_freqs holds one divisor per frequency; linear scaling is the same divisor for all."""
    factors = np.full(64, 4, np.float32)
    linear = _frequencies(rope_theta=1e4, rope_scaling={"type": "linear", "factor": 4.0})
    np.testing.assert_array_equal(_frequencies(factors=factors, rope_theta=1e4), linear)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "config.json: rope_theta is missing"),
        ({"rope_theta": 0}, "rope_theta: 0 is not a positive number"),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "yarn", "factor": 2.0}},
            "type 'yarn' is not supported",
        ),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "linear"}}, "rope_scaling: factor is missing"),
        ({"rope_theta": 1e4, "rope_scaling": LLAMA3 | {"mscale": 2.0}}, "rope_scaling: mscale: 2.0 is not supported"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor: 0.5"),
    ],
)
def test_unknown_rope_is_refused(values: dict[str, Any], message: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ExportError, match=message):
        _frequencies(**values)
