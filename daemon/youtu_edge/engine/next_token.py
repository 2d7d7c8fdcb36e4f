"""The next token of a sequence: how it is chosen from the logits, and what it adds to the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from youtu_edge.engine.logprobs import LogprobReporter
from youtu_edge.engine.sampler import Ints, sample
from youtu_edge.engine.sequence import Sequence
from youtu_edge.errors import InternalError
from youtu_edge.protocol.from_engine import EngineStats, FinishReason, TokenLogprob


class NextToken:
    """Chooses and appends tokens. `stats` counts the masks and the time they take."""

    def __init__(
        self, eos: frozenset[int], logprobs: LogprobReporter, stats: EngineStats, clock: Callable[[], float]
    ) -> None:
        self._eos = eos
        self._logprobs = logprobs
        self._stats = stats
        self._clock = clock

    def is_end(self, token: int) -> bool:
        """Whether this is an end-of-sequence token of the model."""
        return token in self._eos

    def choose(self, sequence: Sequence, logits: npt.NDArray[np.float32], greedy: int) -> tuple[int, list[TokenLogprob]]:
        """The next token of one sequence and, if requested, its log-probability."""
        if not np.isfinite(logits[greedy]):  # the maximum of a row with any NaN is NaN
            raise InternalError("the model computed NaN or infinite logits for this request")
        sampler, count = sequence.sampler, sequence.sampler.params.logprobs
        given = logits.copy() if count is not None else logits
        if sampler.is_greedy and sequence.grammar is None:
            token = greedy
        else:
            allowed = self._allowed(sequence, logits)
            token = sample(logits, sampler, len(sequence.tokens), allowed)
        return token, [] if count is None else [self._logprobs.report(given, token, count, sequence.text)]

    def accept(self, sequence: Sequence, token: int) -> tuple[str, FinishReason | None]:
        """Append a token to the answer; returns its text and, if it is the last one, the finish reason."""
        sequence.tokens.append(token)
        sequence.sampler.observe(token)
        if token in self._eos and not sequence.ignore_eos:
            return "", "stop"
        in_call = sequence.grammar is not None and sequence.grammar.accept(token)
        text = sequence.text.push(token, in_call=in_call)
        if sequence.text.stopped or (sequence.grammar is not None and sequence.grammar.is_complete):
            return text, "stop"
        if sequence.num_generated >= sequence.max_new_tokens:
            return text, "length"
        return text, None

    def _allowed(self, sequence: Sequence, logits: npt.NDArray[np.float32]) -> Ints | None:
        if sequence.grammar is None:
            return None
        begun = self._clock()
        allowed = sequence.grammar.constrain(logits)
        if allowed is not None:
            self._stats.masks += 1
            self._stats.mask_seconds += self._clock() - begun
        return allowed
