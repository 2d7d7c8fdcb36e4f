"""What a model needs of memory: measured once, then a split of a budget, or the budget that contexts and streams need.

    budget(context, streams)  ->  the least memory.limit with which so many sequences of that length run together
    split(config)             ->  the cache pages that the configured budget leaves

The engine plans by it when it starts, and `youtu-edge plan` without a daemon, so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from youtu_edge.config import Config, SchedulerConfig
from youtu_edge.engine.grammar.token_table import TABLE_BYTES_PER_TOKEN
from youtu_edge.engine.memory.activations import logits_bytes, measure_gpu_memory, measure_memory
from youtu_edge.engine.memory.budget import MemoryPlan, least_budget, plan_memory
from youtu_edge.engine.memory.gpu_budget import GpuMemory, plan_gpu_memory
from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.engine.model.gpu import Gpu
from youtu_edge.engine.model.opening import OpenedModel
from youtu_edge.package import WEIGHTS


@dataclass(frozen=True)
class Requirements:
    """In bytes, and in tokens where the name says so."""

    rest: int
    """What the engine holds at rest: weights, libraries, tokenizer, tables."""
    weights: int
    """The part of `rest` that is mapped from the package."""
    step: int
    """What the largest step takes besides, but for its logits."""
    step_tokens: int
    row: int
    """Logits of one sequence."""
    grammar: int
    page_bytes: int
    context_length: int
    """Tokens of the longest sequence."""
    gpu: GpuMemory | None = None
    """A GPU with memory of its own, which the plan is about then."""

    def split(self, config: Config) -> MemoryPlan:
        """What the configured budget leaves for the cache. Raises ConfigError, or DeviceError, when that is too little."""
        if self.gpu is not None:
            return plan_gpu_memory(
                config,
                self.gpu,
                weights=self.weights,
                activations=self._activations(config.scheduler.max_sequences),
                page_bytes=self.page_bytes,
                grammar=self.grammar,
                text_tokens=self.context_length,
            )
        return plan_memory(
            config,
            rest=self.rest,
            weights=self.weights,
            activations=self._activations(config.scheduler.max_sequences),
            page_bytes=self.page_bytes,
            grammar=self.grammar,
            text_tokens=self.context_length,
        )

    def budget(self, config: Config, context: int, streams: int) -> int:
        """What `streams` sequences of `context` tokens, prompt and answer, need together when no text is longer."""
        return least_budget(
            config,
            pages(config, context, streams),
            rest=self.rest,
            activations=self._activations(streams),
            page_bytes=self.page_bytes,
            grammar=self.grammar,
            text_tokens=context,
        )

    def _activations(self, streams: int) -> int:
        return self.step + min(streams, self.step_tokens) * self.row


def pages(config: Config, context: int, streams: int) -> int:
    """Cache pages of so many sequences: no two of them share one, and fewer than two pages are no cache."""
    return max(2, streams * -(-context // config.model.page_tokens))


def step_limits(config: Config, opened: OpenedModel) -> SchedulerConfig:
    """The configured ones, or larger steps for a model whose prompt is bidirectional, and so one piece."""
    limits, runner = config.scheduler, opened.runner
    if not runner.manifest.prompt_end:
        return limits
    longest = runner.context_length + limits.max_sequences
    return msgspec.structs.replace(limits, step_tokens=max(limits.step_tokens, longest))


def measure(opened: OpenedModel, limits: SchedulerConfig, vocab_size: int) -> Requirements:
    """Measure an opened model in this process; its runner's cache is replaced by a small one.

    vocab_size: ids that tokenizer and token table both have.
    """
    runner, weights = opened.runner, opened.package.path(WEIGHTS)
    gpu: GpuMemory | None = None
    if isinstance(runner.device, Gpu):
        memory, step = measure_gpu_memory(runner, runner.device, limits.step_tokens)
        rest = holding().resident + runner.device.context_bytes + memory.held
        gpu = None if runner.device.facts.is_shared else memory
    else:
        rest, step = measure_memory(runner, weights, limits.step_tokens, 0)
    return Requirements(
        rest=rest,
        weights=weights.stat().st_size,
        step=step,
        step_tokens=limits.step_tokens,
        row=logits_bytes(runner, 1),
        grammar=TABLE_BYTES_PER_TOKEN * vocab_size,
        page_bytes=runner.page_bytes,
        context_length=runner.context_length,
        gpu=gpu,
    )
