"""Reported log-probabilities against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from sentence_piece import KINDS, TOKENS, make_sentence_piece
from tiny_model import END_TOKEN, make_tokenizer
from youtu_edge.engine.logprobs import LogprobReporter
from youtu_edge.engine.text.detokenize import TextStream, Vocabulary


def test_they_are_the_log_softmax_and_say_what_the_tokens_are() -> None:
    """The drawn token first, then the best ones in order; control tokens have a name and no bytes."""
    tokenizer = make_tokenizer()
    size, end = tokenizer.get_vocab_size(), tokenizer.token_to_id(END_TOKEN)
    logits = np.random.default_rng(3).normal(0, 5, size).astype(np.float32)
    logits[end] = 40
    reported = LogprobReporter(Vocabulary(tokenizer), tokenizer).report(logits, 17, 4, TextStream(Vocabulary(tokenizer)))
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
    vocabulary = Vocabulary(tokenizer)
    reporter = LogprobReporter(vocabulary, tokenizer)
    drawn = reporter.report(np.zeros(276, dtype=np.float32), first, 0, TextStream(vocabulary)).drawn
    assert (drawn.text, drawn.utf8) == ("\ufffd", "中".encode()[:1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_continuation", [True, False])
def test_tokens_are_written_as_the_answer_shows_them(kind: str, is_continuation: bool) -> None:
    """A space that an answer's first token loses is in no report, nor in that of what could have come instead of it."""
    tokenizer = make_sentence_piece(kind)
    vocabulary = Vocabulary(tokenizer)
    reporter, text = LogprobReporter(vocabulary, tokenizer), TextStream(vocabulary, is_continuation=is_continuation)
    drawn = [TOKENS.index(piece) for piece in ("</s>", "\u2581", "\u2581the", "<0xC3>", "<0xA9>", "\u2581the")]
    logits = np.zeros(len(TOKENS), dtype=np.float32)
    logits[TOKENS.index("\u2581light")] = 5
    reports = []
    shown = ""
    for token in drawn:
        reports.append(reporter.report(logits, token, 1, text))
        shown += text.push(token)
    data, begin = b"".join(report.drawn.utf8 for report in reports), shown.removesuffix(" the\u00e9 the")
    assert data.decode() == shown
    assert begin == ("" if vocabulary.strips_first_space and not is_continuation else " ")
    assert (reports[0].drawn.text, reports[0].drawn.utf8) == ("</s>", b"")
    assert "".join(report.drawn.text for report in reports[1:3]) == shown[:-5]
    assert [report.top[0].text for report in reports] == [f"{begin}light"] * 2 + [" light"] * 4
