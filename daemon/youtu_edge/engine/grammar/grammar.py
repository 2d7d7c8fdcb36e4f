"""Compiles the grammar sources of a request into an AnswerGrammar."""

from __future__ import annotations

from llguidance import LLMatcher

from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.grammar.grammar_source import GrammarSources
from youtu_edge.engine.grammar.token_table import TokenTable
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.request_errors import InvalidRequestError
from youtu_edge.tool_formats import format_named


class GrammarCompiler:
    """Compiles grammars, in one thread at a time; that need not be the thread of the steps."""

    def __init__(
        self, table: TokenTable, vocabulary: Vocabulary, eos: frozenset[int], thought_tokens: frozenset[int]
    ) -> None:
        self._table = table
        self._vocabulary = vocabulary
        self._eos = eos
        self._thought_tokens = thought_tokens

    @property
    def compiled(self) -> list[bytes]:
        """Digests of the grammars that are compiled already."""
        return self._table.compiled

    def forget(self) -> None:
        """Drop all compiled grammars; running answers keep theirs."""
        self._table.forget()

    def compile(
        self, sources: GrammarSources, *, in_thought: bool, may_think: bool, parallel_calls: bool = True
    ) -> AnswerGrammar:
        """The grammar of one answer.

        in_thought: the prompt ends inside <think>. may_think: the answer may begin with a thought.
        Raises InvalidRequestError naming the request's field, and UnavailableError.
        """
        return AnswerGrammar(
            self._table,
            self._vocabulary.token_bytes,
            answer=self._matcher(sources.answer, sources.param),
            call=self._matcher(sources.call, "tools"),
            eos=self._eos,
            in_thought=in_thought,
            thought_tokens=self._thought_tokens if may_think else frozenset(),
            parallel_calls=parallel_calls,
            form=format_named(sources.tool_format),
        )

    def _matcher(self, source: str | None, param: str) -> LLMatcher | None:
        if source is None:
            return None
        try:
            return self._table.matcher(source)
        except ValueError as error:
            raise InvalidRequestError(f"{param}: cannot be compiled: {error}", param=param) from None
