"""A model as a grammar sees it: the tokens allowed next, and how much of a text is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer

from sentence_piece import make_sentence_piece
from tiny_model import END_TOKEN, make_tokenizer
from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.grammar.grammar import GrammarCompiler
from youtu_edge.engine.grammar.grammar_trial import GrammarTrial
from youtu_edge.engine.grammar.token_table import TokenTable
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.engine.text.text_encoder import TextEncoder
from youtu_edge.protocol.tags import THOUGHTS
from youtu_edge.protocol.to_engine import Grammar, SamplingParams, Submit
from youtu_edge.tool_formats import HERMES, ToolFormat


class Model:
    """A tokenizer, and grammars over it. With tags, <think> and its kin are tokens; else models spell them.

    kind: one of SentencePiece's, or none for bytes.
    """

    def __init__(self, *, has_tags: bool, kind: str = "") -> None:
        self.tokenizer: Tokenizer = make_sentence_piece(kind) if kind else make_tokenizer()
        if has_tags:
            tags = [*THOUGHTS, *THOUGHTS.values(), "<tool_call>", "</tool_call>"]
            self.tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
        self.vocabulary = Vocabulary(self.tokenizer)
        self.size = self.tokenizer.get_vocab_size()
        self.eos = self.tokenizer.token_to_id("</s>" if kind else END_TOKEN)
        self._encoder = TextEncoder(self.tokenizer, self.vocabulary)
        self.table = TokenTable(self.vocabulary, self.size, frozenset({self.eos}), self.ids)
        thoughts = frozenset(token for token in map(self.tokenizer.token_to_id, THOUGHTS) if token is not None)
        self.compiler = GrammarCompiler(self.table, self.vocabulary, frozenset({self.eos}), thoughts)
        self.trial = GrammarTrial(self.size, is_bounded=False)

    def ids(self, text: str) -> list[int]:
        """Token ids of the text as a model would produce them, tags included."""
        return self._encoder.encode_answer(text)

    def grammar(
        self,
        grammar: Grammar | None = None,
        *,
        tools: tuple[dict[str, Any], ...] = (),
        must_call: tuple[str, ...] = (),
        parallel: bool = True,
        in_thought: bool = False,
        may_think: bool = True,
        form: ToolFormat = HERMES,
    ) -> AnswerGrammar:
        request = Submit(
            "r",
            SamplingParams(),
            1,
            prompt="x",
            grammar=grammar,
            tools=list(tools),
            must_call=list(must_call),
            parallel_tool_calls=parallel,
        )
        sources = self.trial.sources(request, (), form)
        return self.compiler.compile(
            sources, in_thought=in_thought, may_think=may_think, parallel_calls=request.parallel_tool_calls
        )

    def allowed(self, state: AnswerGrammar) -> set[int]:
        """Ids allowed next."""
        logits = np.zeros(self.size, dtype=np.float32)
        ids = state.constrain(logits)
        return set(np.flatnonzero(np.isfinite(logits)).tolist() if ids is None else ids.tolist())

    def refused(self, state: AnswerGrammar, text: str) -> str | None:
        """The rest of the text from the first token that is not allowed; None if all are."""
        ids = self.ids(text)
        for index, token in enumerate(ids):
            if state.is_complete or token not in self.allowed(state):
                return str(self.tokenizer.decode(ids[index:], skip_special_tokens=False))
            state.accept(token)
        return None

    def may_end(self, state: AnswerGrammar) -> bool:
        return state.is_complete or self.eos in self.allowed(state)
