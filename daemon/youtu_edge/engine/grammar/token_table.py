"""What llguidance has to know of the vocabulary: 270 bytes a token, 34 MB for 128k. Built when a request first needs it."""

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
"""What the table takes, rounded up; the memory plan sets it aside."""
LINE_BREAKS = (b"\n", b"\n\n")

_LEFT_BYTES = 8 * 1024 * 1024
"""What grammars leave to the rest of the engine."""
_MAX_COMPILED = 8
"""Applications ask with the same few schemas again and again."""

Ints = npt.NDArray[np.int64]


class TokenTable:
    """What llguidance has to know of the vocabulary, and the masks that it computes.

    encode: token ids of a piece of an answer, with no space put before its first word: llguidance compares what the tokens
    spell with the text, and where a grammar leaves one text only, it allows these tokens only. eos: ids that end an answer.
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
        """Ids of one or two line breaks, which models write between a thought and the answer."""

    def matcher(self, source: str) -> LLMatcher:
        """A grammar in its first state; the last few are kept.

        Raises ValueError with llguidance's own words, and UnavailableError.
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
        """Digests of the grammars that are kept."""
        return [digest(source) for source in list(self._compiled)]

    def check_room(self, size: int) -> None:
        """Make sure that llguidance can allocate so much: it cannot do without. Raises UnavailableError."""
        wanted = size + _LEFT_BYTES
        if free_data() < wanted:
            self.forget()
            if free_data() < wanted:
                raise UnavailableError("the memory for grammars is taken by those of other answers; try again later")

    def forget(self) -> None:
        """Keep no grammar. What answers find out about their grammar stays with it, so that one in use may grow large."""
        self._compiled.clear()

    def allowed(self, matcher: LLMatcher) -> Ints:
        """Ids that the grammar allows next, ascending; where the answer may end, those that end it are among them."""
        mask = self._mask
        matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=self._size)
        return np.flatnonzero(bits.view(np.bool_))  # of booleans it is ten times faster than of integers

    def cut(self, data: bytes) -> list[int]:
        """Some tokens that spell these bytes."""
        return self._loaded().tokenize_bytes(data)

    def _spell(self, text: str) -> list[int]:
        """As the tokenizer cuts it, unless that changes the text: some put other characters for those they do not like."""
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
                # Without slices: they would halve the time of a mask and more than double the memory.
                self._tokenizer = LLTokenizer(source, n_vocab=self._size, eos_token=sorted(self._eos), slices=[])
            return self._tokenizer


class _Source:
    """The vocabulary in the shape in which llguidance reads it."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids: list[int] = []

    def __init__(self, tokens: list[bytes], eos_token_id: int, encode: Callable[[str], list[int]]) -> None:
        self.tokens = tokens
        self.eos_token_id = eos_token_id
        self._encode = encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)
