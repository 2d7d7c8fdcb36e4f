"""Which tokens of which sequences run in the next step. Pure Python over page numbers; uses no tensors and no clock.

A step takes one token of every decoding sequence first, then prefill chunks in the order of priority and arrival, up to
`step_tokens` in all. With decoding sequences in the step, prefill is limited to `prefill_limit` tokens, so that running
streams wait no longer than scheduler.max_stall_ms, but not below MIN_PREFILL, so that prefill is never starved.

A bidirectional prefix (see Sequence.num_prefix) is never split, however long running streams wait for it; one that
exceeds `step_tokens` runs in a step without other sequences.

A suspect is a request that a previous engine was processing when it died. It runs alone until it has produced a few tokens,
so that a second crash identifies its cause. Suspects run before everything that may wait.

When the cache is full, pages behind the attention window are given up, if the model has one (attention_window). Then the
sequence that arrived last is preempted: its pages are released and recomputed later. So is a
sequence of lower priority that keeps the head of the queue from starting.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from youtu_edge.engine.attention_window import AttentionWindow
from youtu_edge.engine.kv_pages import OutOfPagesError, PagePool, PrefixMatch, common_prefix
from youtu_edge.engine.sequence import Sequence

MIN_PREFILL = 32


@dataclass(frozen=True, slots=True)
class PageCopy:
    """Copy the first `rows` rows of page `source` to page `target`, in every layer, before the step runs."""

    source: int
    target: int
    rows: int


@dataclass(slots=True)
class StepPlan:
    """One step: `chunks[i]` new tokens of `sequences[i]`, starting at its num_computed."""

    sequences: list[Sequence] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    copies: list[PageCopy] = field(default_factory=list)

    @property
    def num_tokens(self) -> int:
        """Tokens that run in this step."""
        return sum(self.chunks)


def _order(sequence: Sequence) -> tuple[int, int]:
    return (-sequence.priority, sequence.arrival)


class Scheduler:
    """Waiting and running sequences, and the pages of the running ones. window: see Manifest.window."""

    def __init__(self, pool: PagePool, *, max_sequences: int, step_tokens: int, window: int | None = None) -> None:
        self.pool = pool
        self.max_sequences = max_sequences
        self.step_tokens = step_tokens
        self.prefill_limit = step_tokens
        """Prefill tokens allowed in a step with decoding sequences; the loop sets it from the measured prefill rate."""
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self.num_preemptions = 0
        self._arrivals = 0
        self._window = AttentionWindow(pool, window, step_tokens)

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.running or self.waiting)

    @property
    def most_tokens(self) -> int | None:
        """The longest sequence that the pool can hold; None: any, because pages behind the window are given up."""
        usable = self.pool.num_pages - self.pool.num_pinned
        return None if self._window.pages and usable >= self._window.pages else usable * self.pool.page_tokens

    def pages_for(self, num_tokens: int) -> int:
        """Pages needed for `num_tokens` tokens."""
        return -(-num_tokens // self.pool.page_tokens)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence by priority, then arrival."""
        self._arrivals += 1
        sequence.arrival = self._arrivals
        bisect.insort(self.waiting, sequence, key=_order)

    def remove(self, sequence: Sequence) -> None:
        """Remove a finished or cancelled sequence; its computed rows stay cached as a prefix for others."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._release(sequence)
        else:
            self.waiting.remove(sequence)

    def schedule(self) -> StepPlan:
        """Choose the next step and allocate pages for every token in it."""
        plan = self._plan()
        while not plan.sequences and len(self.running) > 1:
            # Each waits for pages that it shares with another one, which is possible behind a window only.
            self._preempt(max(self.running, key=_order))
            plan = self._plan()
        return plan

    def _plan(self) -> StepPlan:
        self._make_room()
        if alone := self._suspect_alone():
            return alone
        plan = StepPlan()
        for sequence in sorted((s for s in self.running if s.num_pending == 1), key=_order):
            if sequence in self.running and self._extend(sequence, sequence.num_computed + 1):
                plan.sequences.append(sequence)
                plan.chunks.append(1)
        # A later sequence may have been preempted for an earlier one, never the other way round.
        kept = [(s, n) for s, n in zip(plan.sequences, plan.chunks, strict=True) if s in self.running]
        plan.sequences, plan.chunks = [s for s, _ in kept], [n for _, n in kept]
        budget = self.step_tokens - len(plan.sequences)
        if plan.sequences:
            budget = min(budget, max(self.prefill_limit, MIN_PREFILL))
        self._prefill(plan, budget)
        return plan

    def commit(self, plan: StepPlan) -> None:
        """Record that the plan's rows are in the cache; full pages become shareable."""
        for sequence, chunk in zip(plan.sequences, plan.chunks, strict=True):
            sequence.num_computed += chunk
            is_shared = not sequence.num_prefix and not sequence.num_dropped
            if is_shared and sequence.num_computed // self.pool.page_tokens > sequence.num_published:
                sequence.num_published = self.pool.publish(
                    sequence.pages, sequence.tokens[: sequence.num_computed], sequence.num_published
                )

    def _suspect_alone(self) -> StepPlan | None:
        """A step with one suspect only; None if no sequence is suspect, or the running ones leave no pages for it."""
        plan = StepPlan()
        suspect = next((s for s in self.running if s.is_suspect), None)
        if suspect is None:
            suspect = next((s for s in self.waiting if s.is_suspect), None)
            if suspect is None or len(self.running) >= self.max_sequences or not self._start(plan, suspect):
                return None
        if suspect.num_pending == 1 and not self._extend(suspect, suspect.num_computed + 1):
            return None
        while not self._chunk(plan, suspect, self.step_tokens):
            others = [sequence for sequence in self.running if sequence is not suspect]
            if not others:
                return None
            self._preempt(max(others, key=_order))
        return plan

    def _make_room(self) -> None:
        """Preempt sequences of lower priority than the head of the queue until it can start."""
        while self.waiting and self.running:
            head, victim = self.waiting[0], max(self.running, key=_order)
            if victim.is_suspect or victim.priority >= head.priority or self._has_room(head):
                return
            self._preempt(victim)

    def _has_room(self, sequence: Sequence) -> bool:
        if len(self.running) >= self.max_sequences:
            return False
        match = self._match(sequence)
        is_enough = self._find_room(self._needed(sequence, match))
        self._drop_match(match)
        return is_enough

    def _needed(self, sequence: Sequence, match: PrefixMatch) -> int:
        lacking = self.pages_for(len(sequence.tokens) + 1) - len(match.pages)
        return self._window.at_start(lacking, len(match.pages), match.num_tokens)

    def _find_room(self, needed: int) -> bool:
        return self._window.give_up_some(sorted(self.running, key=_order, reverse=True), needed)

    def _prefill(self, plan: StepPlan, budget: int) -> None:
        """Add prompt chunks in the order of priority and arrival, of running and waiting sequences alike."""
        begun = sorted((s for s in self.running if s.num_pending > 1), key=_order)
        can_start = True
        while budget > 0:
            head = self.waiting[0] if self.waiting and can_start and len(self.running) < self.max_sequences else None
            if head is not None and not (begun and _order(begun[0]) < _order(head)):
                # A suspect at the head did not fit; sequences behind it must not take the pages that it waits for.
                can_start = not head.is_suspect and not self._awaits_prefix(head) and self._start(plan, head)
                if can_start:
                    budget -= self._chunk(plan, head, budget)
            elif begun:
                budget -= self._chunk(plan, begun.pop(0), budget)
            else:
                return

    def _awaits_prefix(self, sequence: Sequence) -> bool:
        """Whether a running sequence is about to compute pages that this one can share (several answers to one prompt, or
        simultaneous requests with a common system message). It starts once they are computed."""
        others = [other for other in self.running if other.num_pending > 1 and not other.num_prefix]
        if not others or sequence.num_prefix:
            return False
        shared = max(common_prefix(other.tokens, sequence.tokens[:-1]) for other in others)
        match = self._match(sequence)
        self._drop_match(match)
        return len(match.pages) < shared // self.pool.page_tokens

    def _chunk(self, plan: StepPlan, sequence: Sequence, budget: int) -> int:
        chunk = min(sequence.num_pending, budget)
        if sequence.num_computed < sequence.num_prefix:
            if plan.sequences and sequence.num_prefix > self.step_tokens - plan.num_tokens:
                return 0
            chunk = sequence.num_prefix
        if not self._extend(sequence, sequence.num_computed + chunk, preempt=False):
            return 0
        plan.sequences.append(sequence)
        plan.chunks.append(chunk)
        return chunk

    def _start(self, plan: StepPlan, sequence: Sequence) -> bool:
        """Move a waiting sequence into the running set if pages for all its tokens, and one more, are available."""
        match = self._match(sequence)
        needed = self._needed(sequence, match)
        sequence.pages = match.pages
        sequence.num_published = len(match.pages)
        sequence.num_computed = match.num_tokens
        try:
            if not self._find_room(needed):
                self._window.give_up(sequence)
                if needed > self.pool.num_available and self.running:
                    raise OutOfPagesError
            for index in range(needed):
                page = self.pool.allocate()
                sequence.pages.append(page)
                if index == 0 and match.copy_from is not None:
                    plan.copies.append(PageCopy(match.copy_from, page, match.rows))
                    # Released only now: the allocation above must not evict the page to be copied.
                    self.pool.release_page(match.copy_from)
                    match = PrefixMatch(match.pages, None, 0, match.num_tokens)
        except OutOfPagesError:
            if match.copy_from is not None:
                self.pool.release_page(match.copy_from)
                sequence.num_computed -= match.rows
            self._release(sequence)
            return False
        if sequence.num_cached is None:
            sequence.num_cached = min(match.num_tokens, sequence.num_prompt)
        self.waiting.remove(sequence)
        self.running.append(sequence)
        return True

    def _match(self, sequence: Sequence) -> PrefixMatch:
        """Rows of a bidirectional prefix depend on the tokens that follow them, so they cannot come from the cache."""
        return PrefixMatch([], None, 0, 0) if sequence.num_prefix else self.pool.match(sequence.tokens)

    def _drop_match(self, match: PrefixMatch) -> None:
        if match.copy_from is not None:
            self.pool.release_page(match.copy_from)
        for page in reversed(match.pages):
            self.pool.release_page(page)

    def _extend(self, sequence: Sequence, num_tokens: int, *, preempt: bool = True) -> bool:
        """Allocate pages for `num_tokens` tokens; if none is left, preempt later sequences, and finally this one."""
        while len(sequence.pages) < self.pages_for(num_tokens):
            try:
                sequence.pages.append(self.pool.allocate())
            except OutOfPagesError:
                if self._window.give_up(sequence) or self._find_room(1):
                    continue
                if not preempt:
                    return False
                victim = max(self.running, key=_order)
                self._preempt(victim)
                if victim is sequence:
                    return False
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self.num_preemptions += 1
        self.running.remove(sequence)
        self._release(sequence)
        bisect.insort(self.waiting, sequence, key=_order)

    def _release(self, sequence: Sequence) -> None:
        if sequence.num_dropped:
            for page in reversed(sequence.pages[sequence.num_dropped :]):
                self.pool.release_page(page)
            sequence.pages.clear()
        else:
            known = [] if sequence.num_prefix else sequence.tokens[: sequence.num_computed]
            self.pool.release(sequence.pages, known, sequence.num_published)
        sequence.num_computed = sequence.num_published = sequence.num_dropped = 0
