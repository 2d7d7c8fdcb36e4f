"""From the rules of a request to a grammar that can mask tokens. The only user of llguidance besides `grammar_source`.

The table of all tokens' bytes (about 270 bytes a token: 34 MB for 128k) is built when the first request needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer

from youtu_edge.engine.answer_grammar import LINE_BREAKS, AnswerGrammar
from youtu_edge.engine.detokenize import Vocabulary
from youtu_edge.engine.grammar_source import answer_source, call_source, parameters_of, schema_source
from youtu_edge.errors import InvalidRequestError
from youtu_edge.protocol import Submit

TABLE_BYTES_PER_TOKEN = 300
"""What the table takes, rounded up; the memory plan sets it aside."""

_MAX_COMPILED = 8
"""Applications ask with the same few schemas again and again."""

Ints = npt.NDArray[np.int64]


class TokenTable:
    """What llguidance has to know of the vocabulary, and the masks that it computes.

    encode: token ids of a text that holds no control tokens. eos: ids that end an answer.
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
        """A grammar in its first state; the last few are kept. Raises ValueError with llguidance's own words."""
        matcher = self._compiled.pop(source, None)
        if matcher is None:
            matcher = LLMatcher(self._loaded(), source, log_level=0)
            if matcher.is_error():
                raise ValueError(_reason(matcher.get_error()))
            if warnings := matcher.get_grammar_warnings():
                raise ValueError("; ".join(warnings))
        self._compiled[source] = matcher
        if len(self._compiled) > _MAX_COMPILED:
            del self._compiled[next(iter(self._compiled))]
        return matcher.deep_copy()

    def allowed(self, matcher: LLMatcher) -> Ints:
        """Ids that the grammar allows next, ascending; where the answer may end, those that end it are among them."""
        mask = self._mask
        matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=self._size)
        return np.flatnonzero(bits.view(np.bool_))  # of booleans it is ten times faster than of integers

    def cut(self, data: bytes) -> list[int]:
        """Some tokens that spell these bytes."""
        return self._loaded().greedy_tokenize(data.decode(errors="replace"))

    def _loaded(self) -> LLTokenizer:
        with self._building:
            if self._tokenizer is None:
                tokens = self._vocabulary.all_bytes(self._size)
                self.line_breaks = np.array([i for i, data in enumerate(tokens) if data in LINE_BREAKS], dtype=np.int64)
                source: Any = _Source(tokens, min(self._eos), self._encode)
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


def _reason(message: str) -> str:
    """llguidance's message in one line: what it begins with, and the line that says error."""
    lines = [line.strip() for line in message.strip().splitlines()]
    return " ".join([lines[0], *(line for line in lines[1:] if line.startswith("error:"))])


class GrammarCompiler:
    """Makes the grammars of answers, in one thread at a time, which may be another than the steps'."""

    def __init__(self, table: TokenTable, vocabulary: Vocabulary, eos: frozenset[int], thought_token: int | None) -> None:
        self._table = table
        self._vocabulary = vocabulary
        self._eos = eos
        self._thought_token = thought_token

    def compile(self, request: Submit, *, in_thought: bool, may_think: bool) -> AnswerGrammar:
        """The grammar of one answer.

        in_thought: the prompt ends inside <think>. may_think: the answer may begin with one.
        Raises InvalidRequestError naming the request's field.
        """
        param = request.grammar.param if request.grammar else "tools"
        answer = self._matcher(request, answer_source(request), param)
        call = self._matcher(request, call_source(request), "tools")
        return AnswerGrammar(
            self._table,
            self._vocabulary.token_bytes,
            answer=answer,
            call=call,
            eos=self._eos,
            in_thought=in_thought,
            thought_token=self._thought_token if may_think else None,
            parallel_calls=request.parallel_tool_calls,
        )

    def _matcher(self, request: Submit, source: str | None, param: str) -> LLMatcher | None:
        if source is None:
            return None
        try:
            return self._table.matcher(source)
        except ValueError as error:
            self._blame_tools(request)
            raise InvalidRequestError(f"{param}: cannot be compiled: {error}", param=param) from None

    def _blame_tools(self, request: Submit) -> None:
        """Raise InvalidRequestError for the first tool whose parameters cannot be compiled."""
        for index, tool in enumerate(request.tools):
            try:
                self._table.matcher(schema_source(parameters_of(tool)))
            except ValueError as error:
                where = f"tools[{index}]"
                raise InvalidRequestError(f"{where}: its parameters cannot be compiled: {error}", param=where) from None
