"""Log-probabilities of tokens from the raw logits: before penalties, bias, temperature and masks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.elementary import exp_negative
from youtu_edge.engine.sampler import largest
from youtu_edge.engine.text.detokenize import TextStream, Vocabulary
from youtu_edge.protocol.from_engine import Alternative, TokenLogprob

Floats = npt.NDArray[np.float32]


class LogprobReporter:
    """Log-probabilities with the text of each token. `tokenizer` is a `tokenizers.Tokenizer`."""

    def __init__(self, vocabulary: Vocabulary, tokenizer: Any) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer

    def report(self, logits: Floats, token: int, count: int, text: TextStream) -> TokenLogprob:
        """The token sampled from `logits` [vocab] and the `count` most likely ones.

        Their text is what each would append to `text`, the answer so far.
        """
        top = logits.max()
        # log softmax(x)_i = x_i - max - log sum_j exp(x_j - max); a Decimal's logarithm is identical on every processor
        total = float(exp_negative(logits - top).sum(dtype=np.float64))
        offset = float(top) + float(Decimal(total).ln())
        best: list[int] = largest(logits, count)[:count].tolist() if count else []
        return TokenLogprob(
            self._alternative(token, float(logits[token]) - offset, text),
            [self._alternative(other, float(logits[other]) - offset, text) for other in best],
        )

    def _alternative(self, token: int, logprob: float, text: TextStream) -> Alternative:
        if not self._vocabulary.token_bytes(token):  # a control token has a name but no text
            return Alternative(str(self._tokenizer.id_to_token(token) or ""), b"", logprob)
        data = text.shown(token)
        return Alternative(data.decode(errors="replace"), data, logprob)
