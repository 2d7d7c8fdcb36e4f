"""Streaming text: no incomplete characters, no part of a stop string, nothing lost."""

from __future__ import annotations

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from youtu_edge.engine.text.detokenize import ProseGate, TextStream, Vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A byte-level tokenizer whose id b stands for byte b, with one control and one ordinary added token."""
    alphabet = {}
    others = 0
    for byte in range(256):
        if 0x21 <= byte < 0x7F or 0xA1 <= byte < 0xAD or byte >= 0xAE:
            alphabet[chr(byte)] = byte
        else:
            alphabet[chr(0x100 + others)] = byte
            others += 1
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.add_tokens(["<note>"])
    return Vocabulary(tokenizer)


def feed(stream: TextStream, data: bytes) -> str:
    """Push every byte as a token and finish."""
    return "".join(stream.push(byte) for byte in data) + stream.finish()


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_text_comes_out_as_it_went_in_and_only_in_whole_characters(vocabulary: Vocabulary, text: str) -> None:
    """Every piece is valid by itself and the pieces join to the text."""
    stream = TextStream(vocabulary)
    pieces = [stream.push(byte) for byte in text.encode()]
    assert all("\ufffd" not in piece or "\ufffd" in text for piece in pieces)
    assert "".join(pieces) + stream.finish() == text


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=40))
def test_bytes_that_are_no_text_become_replacement_characters(vocabulary: Vocabulary, data: bytes) -> None:
    """Any byte sequence gives what Python's decoder gives, and is never held back for ever."""
    assert feed(TextStream(vocabulary), data) == data.decode("utf-8", errors="replace")


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(alphabet="ab\u6f22\n", max_size=30),
    stops=st.lists(st.text(alphabet="ab\u6f22\n", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_nothing_of_a_stop_string_is_ever_shown(vocabulary: Vocabulary, text: str, stops: list[str]) -> None:
    """The text ends before the stop string that is completed first; without one it comes out whole."""
    stream = TextStream(vocabulary, stops)
    shown = ""
    for byte in text.encode():
        shown += stream.push(byte)
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)
        if stream.stopped:
            break
    shown += stream.finish()
    ends = sorted((text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text)
    if not ends:
        assert shown == text
    else:
        first_end = ends[0][0]
        assert shown == text[: min(begin for end, begin in ends if end == first_end)]


def test_control_tokens_are_silent_and_added_words_are_text(vocabulary: Vocabulary) -> None:
    """A special token shows nothing; an ordinary added token shows its text."""
    stream = TextStream(vocabulary)
    assert stream.push(256) == ""
    assert stream.push(257) == "<note>"
    assert stream.push(99999) == ""


def test_it_tells_which_stop_string_ended_the_text(vocabulary: Vocabulary) -> None:
    """The earliest one in the text, and none while none is complete."""
    stream = TextStream(vocabulary, ["END", "b"])
    assert feed(stream, b"aEN") == "aEN"
    assert stream.stop_text is None
    stream = TextStream(vocabulary, ["END", "b"])
    assert feed(stream, b"aEbEND") == "aE"
    assert stream.stop_text == "b"


@pytest.mark.parametrize(
    ("text", "in_thought", "shown"),
    [
        ("Good. More.", False, "Good"),
        ("\n\n Good. More.", False, "\n\n Good"),
        ("<think>Well. So.\n</think>\n\nGood. More.", False, "<think>Well. So.\n</think>\n\nGood"),
        ("\n<think>Well.</think>Good. More.", False, "\n<think>Well.</think>Good"),
        ("Well. So.</think>\nGood. More.", True, "Well. So.</think>\nGood"),
        ("<|thought_start|>Well.<|thought_end|>Good. More.", False, "<|thought_start|>Well.<|thought_end|>Good"),
        ("<thin. More.", False, "<thin"),
        ("...", False, ""),
        ("<think>Well. So.", False, "<think>Well. So."),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_default_stop_texts_count_from_the_answers_prose_on(text: str, in_thought: bool, shown: str, size: int) -> None:
    """Neither in thoughts nor in the white space before the first word, however the text comes in pieces."""
    vocabulary = PiecesVocabulary([text[begin : begin + size] for begin in range(0, len(text), size)])
    stream = TextStream(vocabulary, [".", "\n"], gate=ProseGate(in_thought=in_thought))
    out = "".join(stream.push(token) for token in range(len(vocabulary.pieces))) + stream.finish()
    assert out == shown
    assert stream.stopped == (out != text)


def test_a_stop_text_may_stay_unless_it_is_blank() -> None:
    """A sentence keeps its mark; a line does not keep its end."""
    for text, shown in (("真的？然后", "真的？"), ("line\nnext", "line")):
        stream = TextStream(PiecesVocabulary([text]), ["？", "\n"], keeps_stop=True)
        assert stream.push(0) + stream.finish() == shown


class PiecesVocabulary(Vocabulary):
    """Token n is piece n."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces

    @property
    def strips_first_space(self) -> bool:
        """Pieces are as they are."""
        return False

    def token_bytes(self, token: int) -> bytes:
        """The piece itself."""
        return self.pieces[token].encode()
