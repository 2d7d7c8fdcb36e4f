"""How many token ids there are to read and to draw, where tokenizer and token table differ."""

from __future__ import annotations

from typing import Any


def vocabulary_size(tokenizer: Any, rows: int) -> int:
    """Ids below it count: those of a `tokenizers.Tokenizer` that have one of the `rows` of the token table.

    Tables are filled up to round sizes, and nothing may draw a row without a token. Added tokens may leave ids out, so that
    the largest id counts and not how many there are.
    """
    ordinary: int = tokenizer.get_vocab_size(with_added_tokens=False)
    added: list[int] = list(tokenizer.get_added_tokens_decoder())
    return min(max(ordinary - 1, *added, -1) + 1, rows)
