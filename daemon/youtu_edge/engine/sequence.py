"""One request inside the engine: its tokens, its pages and its output state."""

from __future__ import annotations

from dataclasses import dataclass, field

from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.sampler import SamplerState
from youtu_edge.engine.text.detokenize import TextStream

DROPPED = -1
"""In place of a page that is not attended to any more."""


@dataclass(eq=False)
class Sequence:
    """Tokens of a request and their cache pages.

        tokens:   [ prompt ............. | answer so far ]
                  ^0        ^num_cached  ^num_prompt     ^len(tokens)
        cache:    [0, num_computed) has rows in `pages`; [num_computed, len(tokens)) is not computed yet

    `num_cached` is how much of the prompt came from the prefix cache when the sequence was first scheduled.
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
    """Tokens that it still has to produce in steps without other sequences; see scheduler."""
    grammar: AnswerGrammar | None = None
    arrival: int = 0
    num_computed: int = 0
    num_prefix: int = 0
    """Leading tokens with bidirectional attention: they run in one step, and other prompts cannot reuse their rows."""
    num_cached: int | None = None
    num_published: int = 0
    """Leading pages in the prefix index, which other sequences may share."""
    pages: list[int] = field(default_factory=list)
    num_dropped: int = 0
    """Leading pages that were given up, see attention_window; afterwards no page of it is shared any more."""

    @property
    def is_suspect(self) -> bool:
        """Whether it has to run without other sequences."""
        return self.probation > 0

    @property
    def num_generated(self) -> int:
        """Tokens of the answer so far, including those from a previous engine."""
        return len(self.tokens) - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Tokens that have no cache row yet: 1 while decoding, more while prefilling."""
        return len(self.tokens) - self.num_computed

    @property
    def max_length(self) -> int:
        """The maximum number of tokens, prompt and answer."""
        return self.num_prompt + self.max_new_tokens
