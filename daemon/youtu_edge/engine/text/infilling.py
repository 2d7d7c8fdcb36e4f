"""Control tokens for text in the middle: a model that was trained with them writes what belongs between two texts.

    <prefix> what precedes <suffix> what follows <middle>   ->   what belongs between

They are found by their names (Bavarian et al., "Efficient Training of Language Models to Fill in the Middle", and the
tokenizers of the models), so that packages need no entry for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class InfillTokens(NamedTuple):
    """The ids of the three tokens, in the order of the prompt."""

    prefix: int
    suffix: int
    middle: int


_NAMES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen 2.5 and later, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
)


def infill_tokens(tokenizer: Any) -> InfillTokens | None:
    """Those of a `tokenizers.Tokenizer`; None if its model was not trained to fill in."""
    for names in _NAMES:
        ids = [tokenizer.token_to_id(name) for name in names]
        if None not in ids:
            return InfillTokens(*ids)
    return None
