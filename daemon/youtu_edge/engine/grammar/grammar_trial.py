"""Compiles the grammars of a request in a worker first: a crash there does not end the engine.

The cost of compiling depends hardly on the vocabulary, so the trial uses a table of the 256 single bytes. That takes 1 MB;
the real table takes dozens.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from llguidance import LLTokenizer

from youtu_edge.allocator import Allocator
from youtu_edge.engine.grammar.grammar_source import (
    GrammarSources,
    answer_source,
    call_source,
    parameters_of,
    schema_source,
)
from youtu_edge.engine.grammar.matcher import COMPILE_BYTES, compile_grammar, digest
from youtu_edge.engine.memory.process_memory import less_data
from youtu_edge.protocol.to_engine import Submit
from youtu_edge.request_errors import InvalidRequestError
from youtu_edge.tool_formats import HERMES, ToolFormat


class GrammarTrial:
    """vocab_size is all that it needs of a model, because grammars may refer to token ids.

    is_bounded: a grammar that takes more than two thirds of COMPILE_BYTES ends this process.
    """

    def __init__(self, vocab_size: int, *, is_bounded: bool) -> None:
        self._size = max(vocab_size, 257)
        self._is_bounded = is_bounded
        self._tokenizer: LLTokenizer | None = None
        self._allocator = Allocator()

    def load(self) -> LLTokenizer:
        """Build the table on the first call."""
        if self._tokenizer is None:
            source: Any = _Bytes(self._size)
            self._tokenizer = LLTokenizer(source, n_vocab=self._size, eos_token=[source.eos_token_id], slices=[])
        return self._tokenizer

    def sources(self, request: Submit, compiled: Collection[bytes], form: ToolFormat = HERMES) -> GrammarSources:
        """The grammars of a request, after a trial compilation. `compiled`: digests of those that need no trial.

        Raises InvalidRequestError naming the request's field.
        """
        param = request.grammar.param if request.grammar else "tools"
        sources = GrammarSources(answer_source(request, form), call_source(request, form), param, form.name)
        for source, field in ((sources.answer, param), (sources.call, "tools")):
            if source is None or digest(source) in compiled:
                continue
            try:
                self._compile(source)
            except ValueError as error:
                self._blame_tools(request)
                raise InvalidRequestError(f"{field}: cannot be compiled: {error}", param=field) from None
        return sources

    def _compile(self, source: str) -> None:
        tokenizer = self.load()
        if not self._is_bounded:
            compile_grammar(tokenizer, source)
            return
        self._allocator.give_back()
        with less_data(COMPILE_BYTES * 2 // 3):
            compile_grammar(tokenizer, source)

    def _blame_tools(self, request: Submit) -> None:
        """Raise InvalidRequestError for the first tool whose parameters cannot be compiled."""
        for index, tool in enumerate(request.tools):
            try:
                self._compile(schema_source(parameters_of(tool)))
            except ValueError as error:
                where = f"tools[{index}]"
                raise InvalidRequestError(f"{where}: its parameters cannot be compiled: {error}", param=where) from None


class _Bytes:
    """A vocabulary of single bytes in the form that llguidance expects; the other tokens are empty."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids: list[int] = []
    eos_token_id = 256

    def __init__(self, size: int) -> None:
        self.tokens = [*(bytes([byte]) for byte in range(256)), *(b"" for _ in range(size - 256))]

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)
