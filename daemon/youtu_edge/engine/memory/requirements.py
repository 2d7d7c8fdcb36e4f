"""A model's memory requirements: measured once, then used to split a budget or to compute the budget for a workload.

    budget(context, streams)  ->  the smallest memory.limit for `streams` concurrent sequences of `context` tokens
    split(config)             ->  the memory plan, with the cache pages that the configured budget leaves

Both the engine at its start and `youtu-edge plan` use it, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from youtu_edge.config import Config, SchedulerConfig
from youtu_edge.engine.attention_window import window_pages
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
    """Figures of one model, in bytes unless the name or docstring says tokens."""

    rest: int
    """Memory of the engine at rest: weights, libraries, tokenizer, tables."""
    weights: int
    """The part of `rest` that is mapped from the package."""
    step: int
    """Additional memory of the largest step, without its logits."""
    step_tokens: int
    row: int
    """Logits of one sequence."""
    grammar: int
    page_bytes: int
    context_length: int
    """Tokens of the longest sequence."""
    window: int | None = None
    """See Manifest.window."""
    gpu: GpuMemory | None = None
    """For a GPU with dedicated memory, to which the plan then applies."""

    def split(self, config: Config) -> MemoryPlan:
        """The memory plan for the configured budget. Raises ConfigError or DeviceError if the budget is too small."""
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
        """Bytes that `streams` concurrent sequences of up to `context` tokens, prompt and answer, need."""
        return least_budget(
            config,
            self.pages(config, context, streams),
            rest=self.rest,
            activations=self._activations(streams),
            page_bytes=self.page_bytes,
            grammar=self.grammar,
            text_tokens=context,
        )

    def pages(self, config: Config, context: int, streams: int) -> int:
        """Cache pages for `streams` sequences that share none; at least two."""
        each = -(-context // config.model.page_tokens)
        most = window_pages(self.window, self.step_tokens, config.model.page_tokens)
        return max(2, streams * (each if most is None else min(each, most)))

    def _activations(self, streams: int) -> int:
        return self.step + min(streams, self.step_tokens) * self.row


def step_limits(config: Config, opened: OpenedModel) -> SchedulerConfig:
    """The configured limits, with larger steps for a bidirectional prompt, which cannot be split."""
    limits, runner = config.scheduler, opened.runner
    if not runner.manifest.prompt_end:
        return limits
    longest = runner.context_length + limits.max_sequences
    return msgspec.structs.replace(limits, step_tokens=max(limits.step_tokens, longest))


def measure(opened: OpenedModel, limits: SchedulerConfig, vocab_size: int) -> Requirements:
    """Measure an opened model in this process; its runner's cache is replaced by a small one.

    vocab_size: ids that both the tokenizer and the embedding table have.
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
        window=runner.manifest.window,
        gpu=gpu,
    )
