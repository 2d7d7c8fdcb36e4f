"""Sampling the next token from one row of logits.

Ids beyond the logits are ignored, in bias, history and mask alike; requests are validated before they get here.

A counter-based generator keyed by (seed, position) makes the draws: a request that is resumed after a crash, preempted or
batched differently gets the same tokens. From the same logits every processor samples the same token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.elementary import exp_negative
from youtu_edge.protocol.to_engine import SamplingParams
from youtu_edge.request_errors import InvalidRequestError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_MASK = (1 << 64) - 1
_BLOCK = 64
_FIRST_CANDIDATES = 256
_MORE_CANDIDATES = 8192
_SUM_BLOCK = 512


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends only on its arguments: splitmix64's finaliser over both (Steele et al. 2014)."""
    state = (seed * 0x9E3779B97F4A7C15 + position * 0xD1B54A32D192ED03 + 0x8CB92BA72F3D8DD7) & _MASK
    for _ in range(2):
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) * 2.0**-53


class SamplerState:
    """The sampling state of one sequence: the ids seen, and how often each occurs in the answer."""

    def __init__(self, params: SamplingParams, prompt: Iterable[int] = ()) -> None:
        self.params = params
        self.needs_history = (
            params.repetition_penalty != 1.0 or params.presence_penalty != 0.0 or params.frequency_penalty != 0.0
        )
        self._index: dict[int, int] = {}
        self._bias_ids = np.array(list(params.logit_bias), dtype=np.int64)
        self._bias = np.array(list(params.logit_bias.values()), dtype=np.float32)
        self._ids = np.zeros(16, dtype=np.int64)
        self._counts = np.zeros(16, dtype=np.float32)
        if self.needs_history:
            for token in prompt:
                self._slot(token)

    @property
    def is_greedy(self) -> bool:
        """Whether the token is the argmax of the unmodified logits."""
        return self.params.temperature == 0.0 and not self.needs_history and not self.params.logit_bias

    def observe(self, token: int) -> None:
        """Count a token of the answer."""
        if self.needs_history:
            slot = self._slot(token)  # may reallocate the arrays, so it must come first
            self._counts[slot] += 1

    def _slot(self, token: int) -> int:
        slot = self._index.setdefault(token, len(self._index))
        if slot == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._ids[slot] = token
        return slot

    def adjust(self, logits: Floats) -> None:
        """Apply penalties and bias in place: repetition as in Keskar et al. 2019 (CTRL), sec. 4.1, others as OpenAI."""
        if self.needs_history:
            self._penalise(logits)
        known = self._bias_ids < len(logits)
        logits[self._bias_ids[known]] += self._bias[known]

    def _penalise(self, logits: Floats) -> None:
        params = self.params
        ids, counts = self._ids[: len(self._index)], self._counts[: len(self._index)]
        known = ids < len(logits)
        ids, counts = ids[known], counts[known]
        values = logits[ids]
        if params.repetition_penalty != 1.0:
            values = np.where(values > 0, values / params.repetition_penalty, values * params.repetition_penalty)
        values -= params.presence_penalty * (counts > 0)
        values -= params.frequency_penalty * counts
        logits[ids] = values


def sample(logits: Floats, state: SamplerState, position: int, allowed: Ints | None = None) -> int:
    """The next token from `logits` [vocab], which may be overwritten.

    `position` is the absolute index that the token will have in its sequence. `allowed` are the ids that the mask permits,
    ascending; None permits all. Raises InvalidRequestError if none is left.
    """
    if allowed is not None:
        allowed = allowed[: int(np.searchsorted(allowed, len(logits)))]
        if not len(allowed):
            raise InvalidRequestError("the answer's grammar allows no token of this model next")
    state.adjust(logits)
    params = state.params
    if allowed is not None:
        logits = logits[allowed]
    choice = int(logits.argmax()) if params.temperature == 0.0 else _draw(logits, params, position)
    return choice if allowed is None else int(allowed[choice])


def _draw(logits: Floats, params: SamplingParams, position: int) -> int:
    ids: Ints | None = None
    weights: npt.NDArray[np.floating[Any]]
    if params.top_k > 0 or params.top_p < 1.0:
        ids, weights = _candidates(logits, params)
    else:  # no need to sort: it takes 10 ms for 128k logits and changes no probability
        weights = _rough_weights(logits, params.temperature)
    if params.min_p > 0.0:
        weights = np.where(weights >= params.min_p * weights.max(), weights, 0.0)
    index = _locate(weights, uniform(params.seed, position))
    return index if ids is None else int(ids[index])


def _locate(weights: npt.NDArray[np.floating[Any]], fraction: float) -> int:
    """Index at which the cumulative sum passes `fraction` of the total; summed by blocks, then within one block."""
    sums = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), _SUM_BLOCK), dtype=np.float64))
    target = fraction * sums[-1]
    block = int(np.searchsorted(sums, target, side="right"))
    if block < len(sums):
        begin = block * _SUM_BLOCK
        inside = np.cumsum(weights[begin : begin + _SUM_BLOCK], dtype=np.float64)
        index = int(np.searchsorted(inside, target - (sums[block - 1] if block else 0.0), side="right"))
        if index < len(inside):
            return begin + index
        return begin + int(np.flatnonzero(weights[begin : begin + _SUM_BLOCK])[-1])
    return int(np.flatnonzero(weights)[-1])  # rounding made `target` equal to the total


def _candidates(logits: Floats, params: SamplingParams) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Ids by descending probability with unnormalised probabilities, after top-k, then top-p; at least one must be set."""
    if params.top_k > 0:
        ids = largest(logits, params.top_k)[: params.top_k]
        weights = _weights(logits[ids], logits[ids[0]], params.temperature)
        if params.top_p < 1.0:
            ids, weights = _nucleus(ids, weights, params.top_p * weights.sum())
        return ids, weights
    top = logits.max()
    mass = params.top_p * float(_rough_weights(logits, params.temperature).sum(dtype=np.float64))
    # The nucleus is nearly always small; sort more candidates only when it is not.
    for count in (_FIRST_CANDIDATES, _MORE_CANDIDATES, len(logits)):
        ids = largest(logits, count)
        weights = _weights(logits[ids], top, params.temperature)
        if weights.sum() >= mass:
            break
    return _nucleus(ids, weights, mass)


def _rough_weights(logits: Floats, temperature: float) -> Floats:
    """Unnormalised probabilities of all tokens in float32, which takes a third of the time of float64."""
    return exp_negative((logits - logits.max()) / np.float32(temperature))


def _weights(logits: Floats, top: np.float32, temperature: float) -> npt.NDArray[np.float64]:
    return exp_negative((logits.astype(np.float64) - float(top)) / temperature)


def _nucleus(ids: Ints, weights: npt.NDArray[np.float64], mass: float) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The shortest prefix whose weights add up to `mass` (Holtzman et al. 2020)."""
    keep = int(np.searchsorted(np.cumsum(weights), mass)) + 1
    return ids[:keep], weights[:keep]


def largest(logits: Floats, count: int) -> Ints:
    """Ids of at least the `count` largest logits, in descending order, ties by id.

    Partitioning 128k floats takes 1 ms; there are 64 times fewer block maxima (blocks of 64), and the count-th largest
    maximum is a lower bound of the count-th largest logit.
    """
    size = len(logits)
    blocks = size // _BLOCK
    if 4 * count >= size:
        return np.argsort(-logits, kind="stable")
    if count < blocks:
        maxima = logits[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        bound = np.partition(maxima, blocks - count)[blocks - count]
    else:
        bound = np.partition(logits, size - count)[size - count]
    ids = np.flatnonzero(logits >= bound)
    return ids[np.argsort(-logits[ids], kind="stable")]
