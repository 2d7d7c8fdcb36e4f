"""Log-probabilities in the shape of completions: no entry is lost, and offsets count the characters of the text."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.front.dialects.completions.text_logprobs import TextLogprobWriter
from youtu_edge.protocol.from_engine import Alternative, TokenLogprob


def token(data: bytes, logprob: float = -1.0, text: str | None = None) -> Alternative:
    return Alternative(data.decode(errors="replace") if text is None else text, data, logprob)


def test_a_part_of_a_character_is_called_by_its_bytes() -> None:
    """Several of them are told apart, and the drawn one is found among the best."""
    best = [token("中".encode()[:2], -0.5), token("中".encode()[:1], -1.0), token(b"\xad", -1.5), token(b"a", -2.0)]
    reported = TextLogprobWriter().write([TokenLogprob(best[0], best)], 1)
    assert reported.tokens == [r"bytes:\xe4\xb8"]
    assert reported.top_logprobs == [{r"bytes:\xe4\xb8": -0.5, r"bytes:\xe4": -1.0, r"bytes:\xad": -1.5, "a": -2.0}]


def test_a_character_that_stands_for_bad_bytes_is_a_character() -> None:
    reported = TextLogprobWriter().write([TokenLogprob(token("\ufffd".encode()), [])], 1)
    assert reported.tokens == ["\ufffd"]


def test_two_tokens_with_one_text_are_two_entries() -> None:
    """A vocabulary may have a letter as a piece and as a byte; the drawn one keeps the text."""
    drawn = token(b"a", -3.0)
    reported = TextLogprobWriter().write([TokenLogprob(drawn, [token(b"a", -0.1), token(b"b", -2.0)])], 1)
    assert reported.top_logprobs == [{"a": -3.0, r"bytes:\x61": -0.1, "b": -2.0}]


def test_offsets_of_the_parts_of_a_character_are_that_of_the_character() -> None:
    writer = TextLogprobWriter()
    tokens = [b"a", "中".encode()[:2], "中".encode()[2:], b"b"]
    assert writer.write([TokenLogprob(token(data), []) for data in tokens], 3).text_offset == [0, 1, 1, 2]
    assert writer.write([TokenLogprob(token(b"c"), [])], 4).text_offset == [3]


def test_a_control_token_takes_no_place_in_the_text() -> None:
    tokens = [token(b"a"), token(b"", text="<|im_end|>"), token(b"b")]
    reported = TextLogprobWriter().write([TokenLogprob(one, []) for one in tokens], 2)
    assert (reported.tokens, reported.text_offset) == (["a", "<|im_end|>", "b"], [0, 1, 1])


@given(st.text(max_size=30), st.lists(st.integers(0, 120)), st.integers(0, 30))
def test_an_offset_is_where_the_token_begins_and_never_beyond_the_text(text: str, cuts: list[int], length: int) -> None:
    """Wherever characters are cut into tokens, and also where the text was shortened afterwards."""
    data = text.encode()
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    tokens = [data[begin:end] for begin, end in itertools.pairwise(edges)]
    writer = TextLogprobWriter()
    offsets = [writer.write([TokenLogprob(token(one), [])], length).text_offset[0] for one in tokens]
    begins = [len(data[:edge].decode(errors="ignore")) for edge in edges[:-1]]
    assert offsets == [min(begin, length) for begin in begins]
