"""Compiles one grammar with llguidance, within limits."""

from __future__ import annotations

import hashlib

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000, step_lexer_fuel=100_000, max_lexer_states=100_000, verbose_errors=False
)
"""Half of llguidance's defaults, which allow 80 MB for one grammar; 1,000 string properties take a tenth of that."""

COMPILE_BYTES = 24 * 1024 * 1024
"""Memory that compiling may take in the engine; a trial allows two thirds of it."""
STEP_BYTES = 16 * 1024 * 1024
"""Memory that one token may take within these limits; at most 8 MB was measured, 16 MB with llguidance's defaults."""


def compile_grammar(tokenizer: LLTokenizer, source: str) -> LLMatcher:
    """A grammar in its initial state. Raises ValueError with llguidance's message."""
    matcher = LLMatcher(tokenizer, source, log_level=0, limits=_LIMITS)
    if matcher.is_error():
        raise ValueError(_reason(matcher.get_error()))
    if warnings := matcher.get_grammar_warnings():
        raise ValueError("; ".join(warnings))
    return matcher


def digest(source: str) -> bytes:
    """A 16-byte digest that identifies a grammar."""
    return hashlib.sha256(source.encode(errors="replace")).digest()[:16]


def _reason(message: str) -> str:
    """llguidance's message in one line: its first line, and those that begin with "error:"."""
    lines = [line.strip() for line in message.strip().splitlines()]
    return " ".join([lines[0], *(line for line in lines[1:] if line.startswith("error:"))])
