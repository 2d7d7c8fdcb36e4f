"""The bytes of tokens and the text of answers match the tokenizers' own decoders, for all kinds of tokenizers."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers

from sentence_piece import KINDS, PREFIXED, TOKENS, make_sentence_piece
from tiny_model import make_tokenizer
from youtu_edge.engine.text.detokenize import TextStream, Vocabulary
from youtu_edge.engine.text.text_encoder import TextEncoder


def _byte_level_within_a_sequence() -> Tokenizer:
    tokenizer = make_tokenizer()
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    return tokenizer


def _byte_level_with_a_prefix() -> Tokenizer:
    tokenizer = make_tokenizer()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


def _word_ends() -> Tokenizer:
    """The space is at the end of a word's last token."""
    tokenizer = make_sentence_piece("metaspace never")
    tokenizer.decoder = decoders.BPEDecoder("~")
    return tokenizer


def _without_decoder() -> Tokenizer:
    """Pieces are words then."""
    tokenizer = make_sentence_piece("metaspace never")
    tokenizer.decoder = None
    return tokenizer


OTHERS = {
    "byte level": make_tokenizer,
    "byte level within a sequence": _byte_level_within_a_sequence,
    "byte level with a prefix": _byte_level_with_a_prefix,
    "word ends": _word_ends,
    "without decoder": _without_decoder,
}


@cache
def tokenizer_of(kind: str) -> Tokenizer:
    return OTHERS[kind]() if kind in OTHERS else make_sentence_piece(kind)


@cache
def vocabulary_of(kind: str) -> Vocabulary:
    return Vocabulary(tokenizer_of(kind))


def streamed(kind: str, ids: list[int], *, is_continuation: bool = False) -> str:
    stream = TextStream(vocabulary_of(kind), is_continuation=is_continuation)
    return "".join(stream.push(token) for token in ids) + stream.finish()


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_answer_is_what_the_decoder_makes_of_its_tokens(kind: str, data: st.DataObject) -> None:
    """Any tokens in any order; where they are not whole characters, the replacement characters are those of their bytes.

    Two things are kept that decoders drop: a word's end at the end, which a stream cannot foresee, and spaces within the
    first token, which are text.
    """
    tokenizer, vocabulary = tokenizer_of(kind), vocabulary_of(kind)
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=12))
    text = streamed(kind, ids)
    decoded = tokenizer.decode(ids)
    first = next((tokenizer.id_to_token(token) for token in ids if vocabulary.token_bytes(token)), "")
    if "\ufffd" not in decoded:
        assert text.replace(" ", "") == decoded.replace(" ", "")
        assert text == decoded or kind == "word ends" or "\u2581" in first[1:]
    spelled = b"".join(map(vocabulary.token_bytes, ids)).decode(errors="replace")
    assert spelled in (text, f" {text}")
    assert streamed(kind, ids, is_continuation=True) == spelled


@pytest.mark.parametrize("kind", [*KINDS, "byte level"])
@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet='a the{"}\n\u00e9\u4f60\U0001f600', max_size=20))
def test_a_text_that_is_encoded_and_streamed_is_the_same_text(kind: str, text: str) -> None:
    """Its first space too, when it goes on from another text."""
    encoder = TextEncoder(tokenizer_of(kind), vocabulary_of(kind))
    assert streamed(kind, encoder.encode_plain(text, is_continuation=True), is_continuation=True) == text
    shown = streamed(kind, encoder.encode_plain(text))
    assert shown == text or (shown == text.removeprefix(" ") and kind in PREFIXED)


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_only_a_decoder_that_drops_a_space_is_helped_to(kind: str) -> None:
    """Independent of the type's name: Metaspace keeps it where none was added."""
    assert vocabulary_of(kind).strips_first_space == (kind in PREFIXED or kind == "without decoder")


def test_bytes_are_bytes_only_for_a_decoder_that_reads_them() -> None:
    """Without byte fallback `<0xE4>` is a text of six characters; a byte-level vocabulary may have such a word too."""
    tokenizer = make_sentence_piece("metaspace first")
    token = TOKENS.index("<0xE4>")
    assert Vocabulary(tokenizer).token_bytes(token) == b"\xe4"
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    assert Vocabulary(tokenizer).token_bytes(token) == b"<0xE4>"
    level = make_tokenizer()
    level.add_tokens(["<0xE4>"])
    assert Vocabulary(level).token_bytes(level.token_to_id("<0xE4>")) == b"<0xE4>"


@pytest.mark.parametrize("kind", PREFIXED)
def test_an_indented_line_loses_one_space(kind: str) -> None:
    """Metaspace's decoder drops all of them when they are one token."""
    tokenizer = make_sentence_piece(kind)
    tokenizer.add_tokens([AddedToken("\u2581\u2581\u2581", special=False, normalized=False)])
    vocabulary = Vocabulary(tokenizer)
    token = tokenizer.token_to_id("\u2581\u2581\u2581")
    assert (vocabulary.token_bytes(token), vocabulary.first_bytes(token)) == (b"   ", b"  ")


def test_added_tokens_are_decoded_like_others_and_keep_their_letters() -> None:
    """Gemma adds runs of U+2581; an accented letter in an added token is not a byte stand-in."""
    tokenizer = make_sentence_piece("gguf without prefix")
    tokenizer.add_tokens([AddedToken("\u2581\u2581\u2581", special=False, normalized=False)])
    assert Vocabulary(tokenizer).token_bytes(tokenizer.token_to_id("\u2581\u2581\u2581")) == b"   "
    level = make_tokenizer()
    level.add_tokens(["na\u00efve"])
    assert Vocabulary(level).token_bytes(level.token_to_id("na\u00efve")) == "na\u00efve".encode()


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_the_table_of_all_tokens_says_what_is_said_of_each(kind: str) -> None:
    vocabulary, size = vocabulary_of(kind), tokenizer_of(kind).get_vocab_size()
    assert vocabulary.all_bytes(size) == [vocabulary.token_bytes(token) for token in range(size)]
