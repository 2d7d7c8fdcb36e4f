"""One grammar, compiled by llguidance within bounds."""

from __future__ import annotations

import hashlib

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000, step_lexer_fuel=100_000, max_lexer_states=100_000, verbose_errors=False
)
"""Half of llguidance's own, which allow 80 MB for one grammar; a thousand string properties take a tenth."""

COMPILE_BYTES = 24 * 1024 * 1024
"""What compiling may take in the engine; a trial allows two thirds of it."""
STEP_BYTES = 16 * 1024 * 1024
"""What one token may take within these limits: 8 MB was the most that was seen, of llguidance's own twice as much."""


def compile_grammar(tokenizer: LLTokenizer, source: str) -> LLMatcher:
    """A grammar in its first state. Raises ValueError with llguidance's own words."""
    matcher = LLMatcher(tokenizer, source, log_level=0, limits=_LIMITS)
    if matcher.is_error():
        raise ValueError(_reason(matcher.get_error()))
    if warnings := matcher.get_grammar_warnings():
        raise ValueError("; ".join(warnings))
    return matcher


def digest(source: str) -> bytes:
    """A short name of a grammar."""
    return hashlib.sha256(source.encode(errors="replace")).digest()[:16]


def _reason(message: str) -> str:
    """llguidance's message in one line: what it begins with, and the line that says error."""
    lines = [line.strip() for line in message.strip().splitlines()]
    return " ".join([lines[0], *(line for line in lines[1:] if line.startswith("error:"))])
