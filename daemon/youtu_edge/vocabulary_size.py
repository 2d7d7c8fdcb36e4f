"""The number of usable token ids if tokenizer and token table differ in size."""

from __future__ import annotations

from typing import Any


def vocabulary_size(tokenizer: Any, rows: int) -> int:
    """The largest id of a `tokenizers.Tokenizer` plus one, at most the `rows` of the token table.

    Token tables are padded to round sizes, and a row without a token must never be sampled. Added tokens may leave gaps, so
    the largest id counts and not the number of tokens.
    """
    ordinary: int = tokenizer.get_vocab_size(with_added_tokens=False)
    added: list[int] = list(tokenizer.get_added_tokens_decoder())
    return min(max(ordinary - 1, *added, -1) + 1, rows)
