"""The vocabulary in llguidance's form: 270 bytes per token, 34 MB for 128k. Built when a request first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer

from youtu_edge.engine.grammar.matcher import COMPILE_BYTES, compile_grammar, digest
from youtu_edge.engine.memory.process_memory import free_data
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.errors import UnavailableError

TABLE_BYTES_PER_TOKEN = 300
"""Size of the table, rounded up; the memory plan reserves it."""
LINE_BREAKS = (b"\n", b"\n\n")

_LEFT_BYTES = 8 * 1024 * 1024
"""Memory that grammars must leave to the rest of the engine."""
_MAX_COMPILED = 8
"""Applications reuse the same few schemas."""

Ints = npt.NDArray[np.int64]


class TokenTable:
    """llguidance's token table, the compiled grammars and their masks.

    encode: token ids of a piece of an answer, with no space added before its first word: llguidance compares the tokens'
    bytes with the text, and where a grammar allows only one text, it allows only these tokens. eos: end-of-sequence ids.
    """

    def __init__(self, vocabulary: Vocabulary, size: int, eos: frozenset[int], encode: Callable[[str], list[int]]) -> None:
        self._vocabulary = vocabulary
        self._size = size
        self._eos = eos
        self._encode = encode
        self._tokenizer: LLTokenizer | None = None
        self._compiled: dict[str, LLMatcher] = {}
        self._building = threading.Lock()
        self._mask = np.zeros(-(-size // 32), dtype=np.uint32)
        self.line_breaks: Ints = np.zeros(0, dtype=np.int64)
        """Ids of tokens that are one or two line breaks, which models emit between a thought and the answer."""

    def matcher(self, source: str) -> LLMatcher:
        """A grammar in its initial state; the most recently used ones are cached.

        Raises ValueError with llguidance's message, and UnavailableError.
        """
        matcher = self._compiled.pop(source, None)
        if matcher is None:
            tokenizer = self._loaded()
            self.check_room(COMPILE_BYTES)
            matcher = compile_grammar(tokenizer, source)
        self._compiled[source] = matcher
        if len(self._compiled) > _MAX_COMPILED:
            del self._compiled[next(iter(self._compiled))]
        return matcher.deep_copy()

    @property
    def compiled(self) -> list[bytes]:
        """Digests of the cached grammars."""
        return [digest(source) for source in list(self._compiled)]

    def check_room(self, size: int) -> None:
        """Make sure that llguidance can allocate `size` bytes; it aborts if it cannot. Raises UnavailableError."""
        wanted = size + _LEFT_BYTES
        if free_data() < wanted:
            self.forget()
            if free_data() < wanted:
                raise UnavailableError("the memory for grammars is in use by other answers; try again later")

    def forget(self) -> None:
        """Drop all cached grammars. Parser states that answers explored stay with a grammar, so one may grow large."""
        self._compiled.clear()

    def allowed(self, matcher: LLMatcher) -> Ints:
        """Ids that the grammar allows next, ascending; end-of-sequence ids are among them if the answer may end."""
        mask = self._mask
        matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=self._size)
        return np.flatnonzero(bits.view(np.bool_))  # ten times faster on booleans than on integers

    def cut(self, data: bytes) -> list[int]:
        """A sequence of tokens with these bytes."""
        return self._loaded().tokenize_bytes(data)

    def _spell(self, text: str) -> list[int]:
        """The tokenizer's tokens for the text, or greedily matched ones if its normaliser would change the text."""
        ids = self._encode(text)
        if self._tokenizer is None or b"".join(map(self._vocabulary.token_bytes, ids)) == text.encode():
            return ids
        return self._tokenizer.greedy_tokenize(text)

    def _loaded(self) -> LLTokenizer:
        with self._building:
            if self._tokenizer is None:
                tokens = self._vocabulary.all_bytes(self._size)
                self.line_breaks = np.array([i for i, data in enumerate(tokens) if data in LINE_BREAKS], dtype=np.int64)
                source: Any = _Source(tokens, min(self._eos), self._spell)
                # No slices: they halve the time of a mask but more than double the memory.
                self._tokenizer = LLTokenizer(source, n_vocab=self._size, eos_token=sorted(self._eos), slices=[])
            return self._tokenizer


class _Source:
    """The vocabulary in the form that llguidance expects."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids: list[int] = []

    def __init__(self, tokens: list[bytes], eos_token_id: int, encode: Callable[[str], list[int]]) -> None:
        self.tokens = tokens
        self.eos_token_id = eos_token_id
        self._encode = encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)
