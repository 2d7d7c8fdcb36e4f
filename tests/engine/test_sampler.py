"""Sampling against straightforward reference implementations."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from youtu_edge.engine.sampler import SamplerState, _candidates, _locate, sample, uniform
from youtu_edge.protocol.to_engine import SamplingParams
from youtu_edge.request_errors import InvalidRequestError


def rows(seed: int, size: int) -> np.ndarray:
    """Random logits with ties."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, 4, size), 2).astype(np.float32)


def test_temperature_zero_takes_the_first_maximum() -> None:
    """Greedy is the arg max, ties go to the lower id."""
    logits = np.array([0, 3, 3, 1], dtype=np.float32)
    assert sample(logits, SamplerState(SamplingParams()), 0) == 1


def test_a_draw_depends_on_seed_and_position_alone() -> None:
    """The same request draws the same token after a restart, whatever ran before."""
    params = SamplingParams(temperature=1.0, seed=7)
    first = [sample(rows(1, 500), SamplerState(params), position) for position in range(50)]
    again = [sample(rows(1, 500), SamplerState(params), position) for position in reversed(range(50))]
    assert first == again[::-1]
    assert len(set(first)) > 5


def test_every_processor_draws_the_same_tokens() -> None:
    """The digest was taken on one of them; numpy's own exponential gives another one with and without AVX-512."""
    logits = (np.arange(20_000) * 7919 % 20_011 / 800).astype(np.float32)
    draws = [
        sample(logits.copy(), SamplerState(SamplingParams(temperature=t, top_k=k, top_p=p, min_p=m, seed=5)), position)
        for t, k, p, m in itertools.product((0.4, 1.0, 1.9), (0, 50), (1.0, 0.95, 0.3), (0.0, 0.02))
        for position in range(20)
    ]
    assert hashlib.sha256(repr(draws).encode()).hexdigest().startswith("18ed0280f258ec51")


def test_draws_are_uniform() -> None:
    """The counter-based generator fills ten bins evenly over positions and over seeds."""
    for draws in ([uniform(3, p) for p in range(20000)], [uniform(s, 3) for s in range(20000)]):
        counts, _ = np.histogram(draws, bins=10, range=(0, 1))
        assert abs(counts / 2000 - 1).max() < 0.1


def test_sampled_frequencies_follow_the_softmax() -> None:
    """At temperature 1 without cuts, tokens appear as often as their probability says."""
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    params = SamplingParams(temperature=1.0, seed=11)
    draws = [sample(logits.copy(), SamplerState(params), position) for position in range(8000)]
    frequencies = np.bincount(draws, minlength=4) / 8000
    assert np.abs(frequencies - [0.5, 0.3, 0.15, 0.05]).max() < 0.02


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 9000),
    st.integers(0, 300),
    st.sampled_from([1.0, 0.999, 0.9, 0.5, 0.01]),
    st.sampled_from([0.1, 0.7, 1.0, 2.0]),
)
def test_candidates_equal_the_plain_definition(seed: int, size: int, top_k: int, top_p: float, temperature: float) -> None:
    """The shortcuts choose exactly the tokens that sorting everything would."""
    assume(top_k or top_p < 1)
    logits = rows(seed, size)
    ids, weights = _candidates(logits.copy(), SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p))
    order = np.argsort(-logits, kind="stable")
    if top_k:
        order = order[:top_k]
    expected = np.exp((logits[order].astype(np.float64) - float(logits.max())) / temperature)
    if top_p < 1:
        cumulative = np.cumsum(expected) / expected.sum()
        keep = int(np.searchsorted(cumulative, top_p)) + 1
        assert abs(len(ids) - min(keep, len(order))) <= 1  # the two sums round differently
        keep = len(ids)
        order, expected = order[:keep], expected[:keep]
    assert ids.tolist() == order.tolist()
    np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=1e-37)


def test_min_p_drops_what_is_far_less_likely_than_the_best() -> None:
    """Only tokens with at least min_p times the best probability can be drawn."""
    logits = np.log(np.array([0.6, 0.3, 0.05, 0.05], dtype=np.float32))
    params = SamplingParams(temperature=1.0, min_p=0.2, seed=1)
    assert {sample(logits.copy(), SamplerState(params), p) for p in range(500)} == {0, 1}


def test_penalties_follow_their_definitions() -> None:
    """Repetition counts prompt and answer; presence and frequency count the answer only."""
    params = SamplingParams(repetition_penalty=2.0, presence_penalty=0.5, frequency_penalty=0.25)
    state = SamplerState(params, prompt=[0, 1])
    for token in (1, 2, 2):
        state.observe(token)
    logits = np.array([4.0, -4.0, 6.0, 1.0], dtype=np.float32)
    state.adjust(logits)
    np.testing.assert_allclose(logits, [2.0, -8.0 - 0.5 - 0.25, 3.0 - 0.5 - 0.5, 1.0])


def test_the_history_grows_beyond_its_first_capacity() -> None:
    """A thousand different tokens are all penalised."""
    state = SamplerState(SamplingParams(presence_penalty=1.0))
    for token in range(1000):
        state.observe(token)
    logits = np.zeros(1001, dtype=np.float32)
    state.adjust(logits)
    assert logits.sum() == -1000


def test_only_allowed_tokens_are_drawn_with_the_probabilities_that_they_have_among_each_other() -> None:
    """A mask changes nothing but the sum; greedy takes the best of them."""
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    allowed = np.array([1, 3])
    assert sample(logits.copy(), SamplerState(SamplingParams()), 0, allowed) == 1
    state = SamplerState(SamplingParams(temperature=1.0, seed=2))
    draws = np.bincount([sample(logits.copy(), state, position, allowed) for position in range(7000)], minlength=4) / 7000
    assert np.abs(draws - [0, 6 / 7, 0, 1 / 7]).max() < 0.02
    narrow = SamplerState(SamplingParams(temperature=1.0, top_k=1, top_p=0.9, min_p=0.1))
    assert {sample(logits.copy(), narrow, position, allowed) for position in range(50)} == {1}


def test_a_bias_is_added_to_the_logits() -> None:
    """Before the draw and beside the penalties."""
    logits = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    assert sample(logits.copy(), SamplerState(SamplingParams(logit_bias={0: 5.0, 2: -100.0})), 0) == 0
    assert not SamplerState(SamplingParams(logit_bias={0: 5.0})).is_greedy


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ids_beyond_the_logits_change_nothing(temperature: float) -> None:
    """A tokenizer may know more tokens than the model has scores: in a bias, the prompt, the answer or a mask."""
    params = SamplingParams(
        temperature=temperature,
        seed=3,
        repetition_penalty=1.3,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        logit_bias={1: 2.0, 4: 100.0, 10**6: 100.0},
    )
    plain, odd = SamplerState(params, [0, 2]), SamplerState(params, [0, 2, 4, 5, 10**6])
    for token in (3, 3):
        plain.observe(token)
        odd.observe(token)
    odd.observe(7)
    logits = np.array([1.0, 2.0, 3.0, 2.5], dtype=np.float32)
    for position in range(50):
        drawn = sample(logits.copy(), odd, position)
        assert drawn == sample(logits.copy(), plain, position)
        assert sample(logits.copy(), odd, position, np.array([0, 1, 4, 9])) in (0, 1)
    with pytest.raises(InvalidRequestError, match="no token of this model next"):
        sample(logits.copy(), plain, 0, np.array([4, 9]))
    with pytest.raises(InvalidRequestError, match="no token of this model next"):
        sample(logits.copy(), plain, 0, np.array([], dtype=np.int64))


@given(st.integers(0, 10**6), st.integers(1, 3000), st.sampled_from([0.0, 0.3, 0.9999999, 1.0 - 2.0**-53]), st.booleans())
def test_a_draw_falls_into_the_weight_that_the_plain_sum_says(seed: int, size: int, fraction: float, sparse: bool) -> None:
    """Summing by blocks finds the same place, and never a weight of 0."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 9, size).astype(np.float32) * (rng.random(size) < 0.02 if sparse else 1)
    weights[rng.integers(size)] = 1
    cumulative = np.cumsum(weights, dtype=np.float64)
    index = _locate(weights, fraction)
    assert weights[index] > 0
    assert index == min(np.searchsorted(cumulative, fraction * cumulative[-1], side="right"), np.flatnonzero(weights)[-1])
