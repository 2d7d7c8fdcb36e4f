"""The scheduler against a page model: all sequences finish, and every row is written once and read where it was written."""

from __future__ import annotations

import random
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.sampler import SamplerState
from youtu_edge.engine.scheduler import MIN_PREFILL, Scheduler, StepPlan
from youtu_edge.engine.sequence import Sequence
from youtu_edge.protocol.to_engine import SamplingParams


def make(name: str, prompt: list[int], answer: int = 4, priority: int = 0) -> Sequence:
    """A sequence whose text does not matter."""
    return Sequence(
        id=name,
        tokens=list(prompt),
        num_prompt=len(prompt),
        max_new_tokens=answer,
        sampler=SamplerState(SamplingParams()),
        text=SimpleNamespace(),  # type: ignore[arg-type]
        priority=priority,
    )


class PagedMemory:
    """Stands for the cache: each row holds the prefix it was computed for. Tokens attend to at most `window` tokens."""

    def __init__(self, num_pages: int, page_tokens: int, window: int = 10**9) -> None:
        self.rows: list[tuple[int, ...] | None] = [None] * (num_pages * page_tokens)
        self.size = page_tokens
        self.window = window

    def run(self, plan: StepPlan) -> None:
        """Copy, write the new rows, then check that every earlier row of each sequence is the right one."""
        for copy in plan.copies:
            for row in range(copy.rows):
                self.rows[copy.target * self.size + row] = self.rows[copy.source * self.size + row]
        written: set[int] = set()
        for sequence, chunk in zip(plan.sequences, plan.chunks, strict=True):
            for position in range(sequence.num_computed, sequence.num_computed + chunk):
                slot = sequence.pages[position // self.size] * self.size + position % self.size
                assert slot not in written, "two tokens of one step share a slot"
                written.add(slot)
                self.rows[slot] = tuple(sequence.tokens[: position + 1])
        for sequence, chunk in zip(plan.sequences, plan.chunks, strict=True):
            for position in range(max(0, sequence.num_computed + 1 - self.window), sequence.num_computed + chunk):
                slot = sequence.pages[position // self.size] * self.size + position % self.size
                assert self.rows[slot] == tuple(sequence.tokens[: position + 1]), "a row was overwritten or never written"


def turn(scheduler: Scheduler, memory: PagedMemory, rng: random.Random) -> list[Sequence]:
    """One step with random answers; returns the sequences that finished."""
    plan = scheduler.schedule()
    assert plan.sequences, "there is work and nothing runs"
    assert plan.num_tokens <= scheduler.step_tokens + len(plan.sequences)
    assert len(plan.sequences) == 1 or not any(sequence.is_suspect for sequence in plan.sequences)
    memory.run(plan)
    scheduler.commit(plan)
    finished = []
    for sequence in plan.sequences:
        if sequence.num_pending == 0:
            sequence.tokens.append(rng.randrange(3))
            sequence.probation = max(0, sequence.probation - 1)
            if sequence.num_generated >= sequence.max_new_tokens:
                scheduler.remove(sequence)
                finished.append(sequence)
    scheduler.pool.check_integrity()
    return finished


@settings(max_examples=100, deadline=None)
@given(
    rng=st.randoms(use_true_random=False),
    num_pages=st.integers(6, 30),
    max_sequences=st.integers(1, 6),
    step_tokens=st.integers(4, 64),
    requests=st.integers(1, 14),
)
def test_every_sequence_finishes_and_reads_only_its_own_rows(
    rng: random.Random, num_pages: int, max_sequences: int, step_tokens: int, requests: int
) -> None:
    """Under any pressure, with reuse, preemption, cancellation and suspects, no sequence starves and no row is wrong."""
    scheduler = Scheduler(PagePool(num_pages, 4), max_sequences=max_sequences, step_tokens=step_tokens)
    memory = PagedMemory(num_pages, 4)
    todo = []
    for index in range(requests):
        prompt = [rng.randrange(2) for _ in range(rng.randrange(1, 14))]
        todo.append(make(str(index), prompt, rng.randrange(1, 24 - len(prompt)), rng.randrange(2)))
        todo[-1].probation = rng.choice((0, 0, 0, 0, 1, 3))
    open_ids = set()
    for _ in range(4000):
        if todo and (rng.random() < 0.4 or not scheduler.has_work):
            sequence = todo.pop()
            open_ids.add(sequence.id)
            scheduler.add(sequence)
        if rng.random() < 0.03 and (scheduler.running or scheduler.waiting):
            victim = rng.choice(scheduler.running + scheduler.waiting)
            scheduler.remove(victim)
            open_ids.discard(victim.id)
        if not scheduler.has_work:
            if not todo:
                break
            continue
        for sequence in turn(scheduler, memory, rng):
            open_ids.discard(sequence.id)
    assert not open_ids
    assert scheduler.pool.num_used == 0


def test_decoding_goes_first_and_prefill_takes_what_is_left() -> None:
    """Beside a running stream a long prompt is cut to the limit, but never to nothing."""
    scheduler = Scheduler(PagePool(100, 16), max_sequences=4, step_tokens=256)
    memory, rng = PagedMemory(100, 16), random.Random(0)
    scheduler.add(make("stream", [1, 2, 3], 50))
    turn(scheduler, memory, rng)
    scheduler.add(make("long", [rng.randrange(9) for _ in range(600)], 5))
    scheduler.prefill_limit = 0
    plan = scheduler.schedule()
    assert [s.id for s in plan.sequences] == ["stream", "long"]
    assert plan.chunks == [1, MIN_PREFILL]


def test_a_higher_priority_starts_first() -> None:
    """Among waiting requests priority beats arrival."""
    scheduler = Scheduler(PagePool(20, 16), max_sequences=1, step_tokens=64)
    scheduler.add(make("early", [1, 2]))
    scheduler.add(make("urgent", [3, 4], priority=1))
    assert [s.id for s in scheduler.schedule().sequences] == ["urgent"]


def test_suspects_run_one_by_one_and_before_all_others() -> None:
    """Until it has produced its tokens, a suspect runs alone, however many steps its prompt takes."""
    scheduler = Scheduler(PagePool(100, 16), max_sequences=4, step_tokens=64)
    memory, rng = PagedMemory(100, 16), random.Random(0)
    for name, length in (("plain", 10), ("first", 100), ("second", 20)):
        scheduler.add(make(name, [rng.randrange(9) for _ in range(length)], 8))
        scheduler.waiting[-1].probation = 0 if name == "plain" else 2
    ran = []
    for _ in range(6):
        ran.append([sequence.id for sequence in scheduler.schedule().sequences])
        turn(scheduler, memory, rng)
    assert ran == [["first"], ["first"], ["first"], ["second"], ["second"], ["first", "second", "plain"]]


def test_an_urgent_request_overtakes_a_long_prompt_that_has_begun() -> None:
    """The first token of an urgent request does not wait for the prefill of another request's document."""
    scheduler = Scheduler(PagePool(100, 16), max_sequences=4, step_tokens=64)
    memory, rng = PagedMemory(100, 16), random.Random(0)
    scheduler.add(make("long", [rng.randrange(9) for _ in range(600)]))
    turn(scheduler, memory, rng)
    scheduler.add(make("later", [1, 2, 3]))
    scheduler.add(make("urgent", [4, 5, 6], priority=1))
    plan = scheduler.schedule()
    assert [(s.id, chunk) for s, chunk in zip(plan.sequences, plan.chunks, strict=True)] == [("urgent", 3), ("long", 61)]


def test_an_urgent_request_takes_the_place_of_a_less_urgent_one() -> None:
    """With every place taken the last of the least urgent steps back, and goes on where it was later."""
    scheduler = Scheduler(PagePool(100, 16), max_sequences=2, step_tokens=64)
    memory, rng = PagedMemory(100, 16), random.Random(0)
    for name in ("first", "second"):
        scheduler.add(make(name, [ord(name[0])] * 40, 30))
        turn(scheduler, memory, rng)
    scheduler.add(make("same", [7, 7]))
    assert [s.id for s in scheduler.schedule().sequences] == ["first", "second"], "equal ones wait"
    scheduler.add(make("urgent", [8, 8], 3, priority=1))
    finished = []
    while "urgent" not in finished:
        finished += [sequence.id for sequence in turn(scheduler, memory, rng)]
        assert "second" not in [s.id for s in scheduler.running] or "urgent" in finished
    while scheduler.has_work:
        finished += [sequence.id for sequence in turn(scheduler, memory, rng)]
    assert finished[0] == "urgent"
    assert sorted(finished) == ["first", "same", "second", "urgent"]


def test_an_urgent_request_takes_the_pages_of_less_urgent_ones() -> None:
    """A full cache does not keep an urgent request waiting for the end of others."""
    scheduler = Scheduler(PagePool(6, 16), max_sequences=4, step_tokens=200)
    memory, rng = PagedMemory(6, 16), random.Random(0)
    scheduler.add(make("wide", [1] * 70, 10))
    turn(scheduler, memory, rng)
    scheduler.add(make("urgent", [2] * 40, 2, priority=1))
    assert [s.id for s in turn(scheduler, memory, rng)] == []
    assert [s.id for s in scheduler.running] == ["urgent"]
    assert [s.id for s in turn(scheduler, memory, rng)] == ["urgent"]


def test_prompts_that_come_together_compute_what_they_share_once() -> None:
    """Four answers to one prompt, and a fifth that shares its beginning, wait for the first one's pages; all finish."""
    pool, rng = PagePool(64, 16), random.Random(3)
    scheduler, memory = Scheduler(pool, max_sequences=8, step_tokens=48), PagedMemory(64, 16)
    prompt = list(range(100))
    sequences = [make(f"s{index}", prompt) for index in range(4)] + [make("other", [*prompt[:50], 7, 8, 9])]
    for sequence in sequences:
        scheduler.add(sequence)
    finished: list[Sequence] = []
    steps = 0
    while scheduler.has_work:
        finished += turn(scheduler, memory, rng)
        steps += 1
        assert steps < 60
    assert len(finished) == 5
    assert [sequence.num_cached for sequence in sequences[:1]] == [0]
    assert all((sequence.num_cached or 0) >= 96 for sequence in sequences[1:4])
    assert (sequences[4].num_cached or 0) >= 48
