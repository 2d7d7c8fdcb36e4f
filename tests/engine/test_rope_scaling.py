"""A context beyond the trained one: the frequencies of each kind, and what is rejected."""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.config import ModelConfig
from youtu_edge.engine.model.rope_scaling import served_rope
from youtu_edge.errors import ConfigError
from youtu_edge.package import LongRope, Manifest, Rope
from youtu_export.graph.rope import inverse_frequencies
from youtu_export.graph.yarn import Yarn

THETA, WIDTH, TRAINED = 1e5, 64, 2048


def manifest(**changes: Any) -> Manifest:
    plain = [float(value) for value in inverse_frequencies(THETA, WIDTH)]
    made = Manifest(
        format_version=1,
        name="m",
        family="llama",
        recipe="f32",
        context_length=TRAINED,
        vocab_size=8,
        cache=CacheGeometry("SEPARATE", layers=1, kv_heads=1, width=WIDTH, dtype="float16"),
        rope=Rope(plain),
        eos_token_ids=[0],
        files={},
    )
    return msgspec.structs.replace(made, **changes)


def served(kind: str, context: int, **changes: Any) -> tuple[Rope, int]:
    model = msgspec.structs.replace(ModelConfig(), rope_scaling=kind, context_length=context)
    return served_rope(manifest(**changes), model)


@pytest.mark.parametrize("kind", ["none", "linear", "dynamic", "yarn"])
@pytest.mark.parametrize("context", [0, 100, TRAINED])
def test_up_to_the_trained_length_nothing_is_stretched(kind: str, context: int) -> None:
    assert served(kind, context) == (manifest().rope, context or TRAINED)


def test_a_long_rope_replaces_the_short_one_only_where_it_is_needed() -> None:
    """A model with two ropes needs no kind of scaling up to the length of the second, and allows none."""
    long = LongRope(8192, Rope([1.0, 0.25], scale=1.5))
    short = Rope([1.0, 0.5], scale=1.5)
    assert served("none", 0, rope=short, long_rope=long) == (short, TRAINED)
    assert served("none", TRAINED, rope=short, long_rope=long) == (short, TRAINED)
    assert served("none", 4096, rope=short, long_rope=long) == (long.rope, 4096)
    assert served("none", 8192, rope=short, long_rope=long) == (long.rope, 8192)
    with pytest.raises(ConfigError, match="8193 is more than the 8192 tokens"):
        served("none", 8193, rope=short, long_rope=long)
    with pytest.raises(ConfigError, match="are scaled already"):
        served("dynamic", 4096, rope=short, long_rope=long)


def test_more_than_the_trained_length_needs_a_kind() -> None:
    with pytest.raises(ConfigError, match=r"4096 is more than the 2048 tokens .* set model\.rope_scaling"):
        served("none", 4096)


@given(st.floats(1.01, 16))
def test_linear_moves_every_position_into_the_trained_range(factor: float) -> None:
    context = round(TRAINED * factor)
    rope, length = served("linear", context)
    assert (length, rope.scale) == (context, 1)
    expected = np.array(manifest().rope.inverse_frequencies) * TRAINED / context
    np.testing.assert_allclose(rope.inverse_frequencies, expected, rtol=1e-6)


@given(st.floats(1.01, 16))
def test_dynamic_is_the_base_that_transformers_computes_at_the_full_length(factor: float) -> None:
    """base * (factor * length / trained - (factor - 1)) ** (width / (width - 2)), with a factor of 1."""
    context = round(TRAINED * factor)
    rope, _ = served("dynamic", context)
    base = THETA * (context / TRAINED) ** (WIDTH / (WIDTH - 2))
    np.testing.assert_allclose(rope.inverse_frequencies, inverse_frequencies(base, WIDTH), rtol=1e-4)
    assert rope.scale == 1


@given(st.floats(1.01, 16))
def test_yarn_is_the_one_that_the_exporter_writes_into_packages(factor: float) -> None:
    context = round(TRAINED * factor)
    rope, _ = served("yarn", context)
    yarn = Yarn(factor=context / TRAINED, original_context=TRAINED, beta_fast=32, beta_slow=1, mscale=0, mscale_all_dim=0)
    plain = inverse_frequencies(THETA, WIDTH)
    np.testing.assert_allclose(rope.inverse_frequencies, yarn.frequencies(THETA, plain), rtol=1e-6)
    assert math.isclose(rope.scale, yarn.rotation_scale)


def test_every_processor_stretches_alike() -> None:
    plain = Rope(list(itertools.accumulate([1.0] + [0.75] * (WIDTH // 2 - 1), operator.mul)))
    found = [served(kind, context, rope=plain) for kind in ("linear", "dynamic", "yarn") for context in (2500, 4096, 30000)]
    assert hashlib.sha256(repr(found).encode()).hexdigest().startswith("b1252de64d97cff3")


LATENT = CacheGeometry("LATENT", layers=1, kv_heads=1, width=576, dtype="float16")
PARTIAL = CacheGeometry("SEPARATE", layers=1, kv_heads=1, width=2 * WIDTH, dtype="float16")
STRETCHED = Rope([value / 2 for value in manifest().rope.inverse_frequencies])
UNEVEN = Rope([1.0, 0.5, 0.01, 0.001])


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("yarn", {"cache": LATENT}, "latent attention"),
        ("yarn", {"cache": PARTIAL}, "only part of each head"),
        ("dynamic", {"rope": STRETCHED}, "scaled already"),
        ("linear", {"rope": UNEVEN}, "scaled already"),
        ("yarn", {"rope": Rope(manifest().rope.inverse_frequencies, scale=1.1)}, "scaled already"),
        ("dynamic", {"prompt_end": [1, 2]}, "not of the standard form"),
    ],
)
def test_what_cannot_be_stretched_rightly_is_refused(kind: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        served(kind, 4096, **changes)
    assert refused.value.message.startswith(f"model.rope_scaling: {kind}: ")


@pytest.mark.parametrize("kind", ["linear", "dynamic"])
@pytest.mark.parametrize("cache", [LATENT, PARTIAL], ids=["latent", "partial"])
def test_stretched_frequencies_alone_fit_every_attention(kind: str, cache: CacheGeometry) -> None:
    assert served(kind, 4096, cache=cache)[1] == 4096


def test_the_fastest_frequency_survives_dynamic_and_yarn() -> None:
    """Neighbours stay as far apart as they were."""
    for kind in ("dynamic", "yarn"):
        rope, _ = served(kind, 4 * TRAINED)
        assert math.isclose(rope.inverse_frequencies[0], 1, rel_tol=1e-6)
        assert math.isclose(rope.inverse_frequencies[-1], manifest().rope.inverse_frequencies[-1] / 4, rel_tol=1e-4)
