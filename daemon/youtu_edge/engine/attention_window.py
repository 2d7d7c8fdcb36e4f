"""Pages behind the attention window: no later token of their sequence attends to them.

    positions    0 .......... num_computed - tokens ........ num_computed
    pages        | passed: may be given up | attended to             |  next chunk

They are given up only when the pool is out of pages, because a conversation that goes on finds its prefix in them.
"""

from __future__ import annotations

from collections.abc import Iterable

from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.sequence import DROPPED, Sequence


def window_pages(window: int | None, step_tokens: int, page_tokens: int) -> int | None:
    """The most pages that a sequence needs at a time, whatever its length; None without a window."""
    return None if window is None else -(-(window + step_tokens) // page_tokens) + 1


class AttentionWindow:
    """The window of a model whose layers attend to at most `tokens` tokens each; None: some layer attends to all."""

    def __init__(self, pool: PagePool, tokens: int | None, step_tokens: int) -> None:
        self._pool = pool
        self._tokens = tokens
        self.pages = window_pages(tokens, step_tokens, pool.page_tokens)

    def at_start(self, lacking: int, held: int, num_computed: int) -> int:
        """Pages that a sequence needs before its first step, of those that it is `lacking`.

        held: pages that it shares, with the rows of `num_computed` tokens.
        """
        if self.pages is None:
            return lacking
        return min(lacking, self.pages - max(0, held - self._passed(num_computed)))

    def give_up(self, sequence: Sequence, *, least: int = 0) -> bool:
        """Release the passed pages of `sequence`, but leave it `least` pages; whether the pool has more pages now."""
        if self._tokens is None:
            return False
        end = min(self._passed(sequence.num_computed), len(sequence.pages) - least)
        before = self._pool.num_available
        for index in range(sequence.num_dropped, end):
            self._pool.release_page(sequence.pages[index])
            sequence.pages[index] = DROPPED
        sequence.num_dropped = max(sequence.num_dropped, end)
        return self._pool.num_available > before

    def _passed(self, num_computed: int) -> int:
        """Pages that no token from position `num_computed` on attends to."""
        return 0 if self._tokens is None else max(0, num_computed + 1 - self._tokens) // self._pool.page_tokens

    def give_up_some(self, sequences: Iterable[Sequence], needed: int = 1) -> bool:
        """Release passed pages of these sequences until `needed` are available; each keeps what it needs to go on."""
        if self.pages is not None:
            for sequence in sequences:
                if self._pool.num_available >= needed:
                    break
                self.give_up(sequence, least=self.pages)
        return self._pool.num_available >= needed
