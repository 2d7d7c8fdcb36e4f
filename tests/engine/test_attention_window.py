"""Models whose layers attend to a window: pages behind it are used again when the pool is out of pages, and not before."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine.test_scheduler import PagedMemory, make, turn
from reference_data import EVAL_EN, copy_tiny_random, tiny_random_figures
from score import log_softmax
from youtu_edge.engine.attention_window import window_pages
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.package import open_package
from youtu_export.__main__ import main

PAGE = 4
STEP = 30
"""Tokens that a real model computes at a time."""


@settings(max_examples=150, deadline=None)
@given(
    rng=st.randoms(use_true_random=False),
    window=st.integers(1, 30),
    spare=st.integers(0, 12),
    max_sequences=st.integers(1, 5),
    step_tokens=st.integers(4, 40),
    requests=st.integers(1, 10),
)
def test_every_sequence_finishes_however_long_it_is(
    rng: random.Random, window: int, spare: int, max_sequences: int, step_tokens: int, requests: int
) -> None:
    """The pool holds the window and a step; sequences are up to ten times as long, and share beginnings."""
    least = window_pages(window, step_tokens, PAGE)
    assert least is not None
    pool = PagePool(least + spare, PAGE)
    scheduler = Scheduler(pool, max_sequences=max_sequences, step_tokens=step_tokens, window=window)
    assert scheduler.most_tokens is None
    memory = PagedMemory(pool.num_pages, PAGE, window)
    beginning = [rng.randrange(2) for _ in range(10 * PAGE * least)]
    todo = []
    for index in range(requests):
        prompt = beginning[: rng.randrange(1, len(beginning))] + [rng.randrange(2) for _ in range(rng.randrange(3))]
        todo.append(make(str(index), prompt, rng.randrange(1, 3 * window + 8), rng.randrange(2)))
        todo[-1].probation = rng.choice((0, 0, 0, 1))
    finished = 0
    for _ in range(20_000):
        if todo and (rng.random() < 0.4 or not scheduler.has_work):
            scheduler.add(todo.pop())
        if not scheduler.has_work:
            break
        finished += len(turn(scheduler, memory, rng))
    assert finished == requests
    assert pool.num_used == 0


def test_with_room_for_all_a_longer_conversation_finds_its_prefix() -> None:
    """Nothing is given up while pages are left."""
    pool = PagePool(40, PAGE)
    scheduler = Scheduler(pool, max_sequences=2, step_tokens=16, window=8)
    memory, rng = PagedMemory(pool.num_pages, PAGE, 8), random.Random(1)
    first = make("first", [rng.randrange(9) for _ in range(60)], 20)
    scheduler.add(first)
    while scheduler.has_work:
        turn(scheduler, memory, rng)
    second = make("second", [*first.tokens, 1, 2, 3])
    scheduler.add(second)
    scheduler.schedule()
    assert second.num_cached is not None
    assert second.num_cached >= 76


def test_another_sequence_takes_the_pages_behind_the_window_of_a_running_one() -> None:
    """Without preempting it; what it needs to go on stays."""
    pool = PagePool(20, PAGE)
    scheduler = Scheduler(pool, max_sequences=2, step_tokens=16, window=8)
    memory, rng = PagedMemory(pool.num_pages, PAGE, 8), random.Random(1)
    scheduler.add(make("long", [rng.randrange(9) for _ in range(70)], 400))
    while not pool.num_available <= 2:
        turn(scheduler, memory, rng)
    scheduler.add(make("short", [rng.randrange(9) for _ in range(30)], 4))
    turn(scheduler, memory, rng)
    assert [sequence.id for sequence in scheduler.running] == ["long", "short"]
    assert scheduler.num_preemptions == 0


def test_a_model_without_window_holds_what_its_pool_holds() -> None:
    assert Scheduler(PagePool(10, PAGE), max_sequences=1, step_tokens=16).most_tokens == 40
    assert Scheduler(PagePool(4, PAGE), max_sequences=1, step_tokens=16, window=8).most_tokens == 16


@pytest.fixture(params=["gemma3-tied", "gemma3-untied", "mistral", "ministral", "phi3"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A model with windows in some or all layers, and its figures."""
    checkpoint = copy_tiny_random(request.param, tmp_path / "checkpoint")
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    return tmp_path / "package", tiny_random_figures(request.param)["text"]


def test_text_many_windows_long_is_as_likely_as_in_transformers(package: tuple[Path, dict[str, Any]]) -> None:
    """And with memory for the window only, where every layer has one: then pages come around many times."""
    root, figures = package
    opened = open_package(root)
    window = opened.manifest.window
    count, parts = figures["tokens"], figures["parts"]
    text = Tokenizer.from_file(str(root / "tokenizer.json")).encode(EVAL_EN.read_text(encoding="utf-8")[:4096])
    pages = window_pages(window, STEP, 16) or count // 16 + 1
    runner = Runner(opened, page_tokens=16, threads=1, spin_us=0, context_length=count)
    runner.allocate_cache(pages)
    losses = []
    for begin in range(0, count * parts, count):
        ids = text.ids[begin : begin + count]
        scheduler = Scheduler(PagePool(pages, 16), max_sequences=1, step_tokens=STEP, window=window)
        scores = log_softmax(_logits(runner, scheduler, ids))
        losses.append(-scores[np.arange(count - 1), ids[1:]].mean())
    assert np.mean(losses) == pytest.approx(figures["mean_nll"], abs=1e-5)
    assert pages <= 4 or window is None


def _logits(runner: Runner, scheduler: Scheduler, ids: list[int]) -> npt.NDArray[np.float32]:
    """After every token, in as many steps as the scheduler takes."""
    sequence, found = make("text", ids), []
    scheduler.add(sequence)
    while sequence.num_pending:
        plan, begin = scheduler.schedule(), sequence.num_computed
        [chunk] = plan.chunks
        rows = list(range(chunk))
        found.append(runner.run(ids[begin : begin + chunk], [chunk], [begin], [sequence.pages], rows))
        scheduler.commit(plan)
    return np.concatenate(found)
