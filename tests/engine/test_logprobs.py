"""Reported log-probabilities against the plain definition."""

from __future__ import annotations

import numpy as np

from tiny_model import END_TOKEN, make_tokenizer
from youtu_edge.engine.detokenize import Vocabulary
from youtu_edge.engine.logprobs import LogprobReporter


def test_they_are_the_log_softmax_and_say_what_the_tokens_are() -> None:
    """The drawn token first, then the best ones in order; control tokens have a name and no bytes."""
    tokenizer = make_tokenizer()
    size, end = tokenizer.get_vocab_size(), tokenizer.token_to_id(END_TOKEN)
    logits = np.random.default_rng(3).normal(0, 5, size).astype(np.float32)
    logits[end] = 40
    reported = LogprobReporter(Vocabulary(tokenizer), tokenizer).report(logits, 17, 4)
    exact = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
    best = np.argsort(-logits)[:4]
    assert abs(reported.drawn.logprob - exact[17]) < 1e-5
    np.testing.assert_allclose([other.logprob for other in reported.top], exact[best], atol=1e-5)
    assert (reported.top[0].text, reported.top[0].utf8) == (END_TOKEN, b"")
    assert reported.drawn.text == reported.drawn.utf8.decode() == tokenizer.decode([17])


def test_half_a_character_is_shown_as_such() -> None:
    """`utf8` is exact, `text` cannot be."""
    tokenizer = make_tokenizer()
    (first, *_) = tokenizer.encode("中", add_special_tokens=False).ids
    drawn = LogprobReporter(Vocabulary(tokenizer), tokenizer).report(np.zeros(276, dtype=np.float32), first, 0).drawn
    assert (drawn.text, drawn.utf8) == ("\ufffd", "中".encode()[:1])
