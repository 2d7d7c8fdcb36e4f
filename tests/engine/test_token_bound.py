"""The lower bound of a text's token count never exceeds the actual count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel

from sentence_piece import KINDS, make_sentence_piece
from tiny_model import make_tokenizer
from youtu_edge.engine.text.token_bound import TextLimit, TokenBound
from youtu_edge.request_errors import ContextLengthError

RUNS = ["a", " ", "\n", "7", ".", "\u4e2d", "the ", "<|im_end|>", "\u1100\u1161\u11a8", "e\u0301", "\U0001f600", "\x04"]


def count(tokenizer: Any, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def normalised(normalizer: Any) -> Tokenizer:
    tokenizer: Tokenizer = make_tokenizer()
    tokenizer.normalizer = normalizer
    return tokenizer


def trimming() -> Tokenizer:
    tokenizer: Tokenizer = make_tokenizer()
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True, lstrip=True)])
    return tokenizer


TOKENIZERS = {
    "bytes": make_tokenizer,
    "NFC": lambda: normalised(normalizers.NFC()),
    "NFKC": lambda: normalised(normalizers.NFKC()),
    "tokens that take the white space beside them": trimming,
    **{kind: lambda kind=kind: make_sentence_piece(kind) for kind in KINDS},
}


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]()


def test_no_text_has_fewer_tokens(tokenizer: Any) -> None:
    """Text of any kind, control tokens included, and long runs of one kind of character."""
    bound = TokenBound(tokenizer)

    @given(st.lists(st.sampled_from(RUNS) | st.text(max_size=8), max_size=12), st.integers(1, 20))
    def check(parts: list[str], times: int) -> None:
        text = "".join(parts) * times
        assert bound.least(text) <= count(tokenizer, text)

    check()


@pytest.mark.parametrize("run", ["a", "the ", "\u4e2d", "7", "<|im_end|>"])
def test_long_texts_are_found_to_be_long(run: str) -> None:
    """A text grows beyond every limit, whatever it repeats."""
    bound = TokenBound(make_tokenizer())
    assert bound.least(run * 10_000) >= 10 * bound.least(run * 900) > 0


def test_a_tokenizer_that_may_drop_text_has_no_bound() -> None:
    """Unknown words become one token, and white space none; nothing is refused then."""
    words = Tokenizer(WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    removed = Tokenizer(BPE({"a": 0}, []))
    removed.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    for tokenizer in (words, removed):
        assert TokenBound(tokenizer).least("a " * 10_000) == 0
    unknown = Tokenizer(BPE({"a": 0, "<unk>": 1}, [], unk_token="<unk>", fuse_unk=True))
    assert TokenBound(unknown).least("b" * 10_000) <= count(unknown, "b" * 10_000) == 1


def test_a_text_that_can_never_fit_is_refused_and_named() -> None:
    """What might fit is left to the tokenizer."""
    limit = TextLimit(TokenBound(make_tokenizer()), 100)
    limit.check("the " * 20, "prompt")
    with pytest.raises(ContextLengthError, match=r"at least \d+ tokens") as error:
        limit.check("the " * 5000, "prompt")
    assert error.value.param == "prompt"


def test_no_text_of_smollm2_has_fewer_tokens(smollm2_q4: Path) -> None:
    """A vocabulary of a real model, which lacks some bytes and has tokens of 81 spaces."""
    tokenizer = Tokenizer.from_file(str(smollm2_q4 / "tokenizer.json"))
    bound = TokenBound(tokenizer)
    for run in (*RUNS, "The quick brown fox jumps over the lazy dog. ", "    x = y[i]\n"):
        text = run * (3000 // len(run))
        assert 0 <= bound.least(text) <= count(tokenizer, text)
    assert bound.least("The quick brown fox jumps over the lazy dog. " * 1000) > 1000
