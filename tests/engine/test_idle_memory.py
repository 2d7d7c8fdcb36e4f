"""When the engine returns which memory, with a real model and the test's own clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from score import open_model
from tiny_model import make_tiny_package
from youtu_edge.allocator import Allocator
from youtu_edge.config import MemoryConfig
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.loop import Loop
from youtu_edge.engine.memory.idle_memory import IdleMemory
from youtu_edge.engine.memory.process_memory import holding, limit_data
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.service import make_loop
from youtu_edge.protocol.from_engine import FromEngine, StepFrame
from youtu_edge.protocol.to_engine import SamplingParams, Submit

CONFIG = MemoryConfig(return_after_s=5.0, keep_prefixes_s=60.0)


class Bench:
    """A loop over a tiny model, and its idle memory."""

    def __init__(self, package: Path) -> None:
        self.now = 0.0
        runner, prompter, tokenizer = open_model(package)
        self.pool = PagePool(16, 32)
        self.sent: list[FromEngine] = []
        scheduler = Scheduler(self.pool, max_sequences=4, step_tokens=256)
        self.loop: Loop = make_loop(runner, scheduler, tokenizer, prompter, self.sent.append, max_stall_s=1.0)
        self.memory = IdleMemory(runner, self.pool, Allocator(), CONFIG, lambda: self.now)
        self._asked = 0

    def ask(self, prompt: str) -> list[int]:
        """Tokens of a greedy answer."""
        self._asked += 1
        name = str(self._asked)
        self.loop.submit(Submit(name, SamplingParams(), 6, prompt=prompt))
        while self.loop.has_work:
            self.loop.step()
        frames = [message for message in self.sent if isinstance(message, StepFrame)]
        return [token for frame in frames for delta in frame.deltas if delta.id == name for token in delta.tokens]

    def idle(self, seconds: float) -> None:
        """Let this much time pass without work."""
        self.memory.idle(self.loop.stats().steps)
        self.now += seconds
        self.memory.idle(self.loop.stats().steps)
        self.pool.check_integrity()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("idle") / "package")


def test_free_pages_go_first_and_prefixes_much_later(package: Path) -> None:
    """After return_after_s only cached prefixes are in memory, after keep_prefixes_s nothing is."""
    bench = Bench(package)
    bench.ask("a prompt of several pages " * 6)
    bench.idle(4.0)
    assert bench.pool.num_touched == bench.pool.num_cached > 2
    bench.pool.drop_cached(keep=1)
    bench.idle(2.0)
    assert bench.pool.num_touched == bench.pool.num_cached == 1
    bench.idle(60.0)
    assert bench.pool.num_touched == bench.pool.num_cached == 0


def test_work_puts_it_off(package: Path) -> None:
    """The time counts from the last step."""
    bench = Bench(package)
    for _ in range(4):
        bench.ask("the same prompt every time, and long enough for a page of its own")
        bench.idle(40.0)
    assert bench.pool.num_cached
    bench.idle(60.0)
    assert not bench.pool.num_cached


def test_shed_waits_for_nothing(package: Path) -> None:
    """At once, and also while a sequence runs, whose rows stay."""
    bench = Bench(package)
    expected = bench.ask("x" * 100)
    bench.loop.submit(Submit("running", SamplingParams(), 6, prompt="x" * 100))
    bench.loop.step()
    bench.memory.shed()
    assert bench.pool.num_cached == 0
    assert bench.pool.num_touched == bench.pool.num_used > 0
    while bench.loop.has_work:
        bench.loop.step()
    frames = [message for message in bench.sent if isinstance(message, StepFrame)]
    assert [t for frame in frames for d in frame.deltas if d.id == "running" for t in d.tokens] == expected


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 3.0, 6.0, 61.0]), st.booleans()), max_size=8))
def test_answers_never_depend_on_what_was_given_back(package: Path, turns: list[tuple[int, float, bool]]) -> None:
    """Whatever is asked, waited and shed in between, a prompt has the answer that it had at first."""
    bench = Bench(package)
    prompts = ["short", "a" * 40, "a" * 40 + "b" * 40, "c d e " * 20]
    first = [bench.ask(prompt) for prompt in prompts]
    for number, seconds, shed in turns:
        assert bench.ask(prompts[number]) == first[number]
        bench.idle(seconds)
        if shed:
            bench.memory.shed()


def test_a_limit_below_what_is_held_is_not_set() -> None:
    """It would make every allocation fail at once."""
    assert not limit_data(holding().data // 2)


PROMPT_AND_TOKEN = """
import sys
from pathlib import Path
from youtu_edge.allocator import Allocator
from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import open_package

Allocator()
runner = Runner(open_package(Path(sys.argv[1])), page_tokens=16, threads=2, spin_us=0, context_length=512)
runner.allocate_cache(32)
for cache in runner.caches:
    cache.fill(0)
for tokens, past in ((1, 0), (400, 0), (1, 400)):
    runner.run([1] * tokens, [tokens], [past], [list(range(32))], [0])
    print(holding().anonymous)
"""


def test_the_activations_of_a_prompt_are_given_back_with_the_first_token_of_the_answer(smollm2_q4: Path) -> None:
    """In a separate process, whose heap is not fragmented."""
    command = [sys.executable, "-c", PROMPT_AND_TOKEN, str(smollm2_q4)]
    before, prompt, token = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert prompt - before > 8 << 20
    assert token - before < (prompt - before) / 2
