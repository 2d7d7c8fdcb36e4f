"""One request inside the engine: its tokens, its pages and what was already emitted."""

from __future__ import annotations

from dataclasses import dataclass, field

from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.sampler import SamplerState
from youtu_edge.engine.text.detokenize import TextStream


@dataclass(eq=False)
class Sequence:
    """Tokens of a request and where they live.

        tokens:   [ prompt ............. | answer so far ]
                  ^0        ^num_cached  ^num_prompt     ^len(tokens)
        cache:    [0, num_computed) has rows in `pages`; [num_computed, len(tokens)) is still to be run

    `num_cached` is how much of the prompt came from the prefix cache when it was scheduled first.
    """

    id: str
    tokens: list[int]
    num_prompt: int
    max_new_tokens: int
    sampler: SamplerState
    text: TextStream
    priority: int = 0
    ignore_eos: bool = False
    probation: int = 0
    """Tokens that it still has to gain alone; see scheduler."""
    grammar: AnswerGrammar | None = None
    arrival: int = 0
    num_computed: int = 0
    num_prefix: int = 0
    """Leading tokens that see each other: they run in one piece, and their rows are of no use to another prompt."""
    num_cached: int | None = None
    num_published: int = 0
    """Leading pages that the prefix index knows, so that others may share them."""
    pages: list[int] = field(default_factory=list)

    @property
    def is_suspect(self) -> bool:
        """Whether it has to run alone."""
        return self.probation > 0

    @property
    def num_generated(self) -> int:
        """Tokens of the answer so far, those of a former engine included."""
        return len(self.tokens) - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Tokens that have no cache row yet: 1 while decoding, more while prefilling."""
        return len(self.tokens) - self.num_computed

    @property
    def max_length(self) -> int:
        """Tokens that the sequence can grow to."""
        return self.num_prompt + self.max_new_tokens
