"""Scoring text with a package through the engine's own graph: log-probabilities, NLL, greedy ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.service import load_prompter
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.package import open_package

PAGE_TOKENS = 32


def open_model(root: Path, max_tokens: int = 1024) -> tuple[Runner, Prompter, Any]:
    """Runner with a cache for one sequence of `max_tokens`, prompter and tokenizer of a package."""
    package = open_package(root)
    context = min(max_tokens, package.manifest.context_length)
    runner = Runner(package, page_tokens=PAGE_TOKENS, threads=1, spin_us=0, context_length=context)
    runner.allocate_cache(-(-context // PAGE_TOKENS))
    tokenizer, prompter = load_prompter(package)
    return runner, prompter, tokenizer


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Log-probabilities in float64, by row."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    shifted: npt.NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return shifted


def run(runner: Runner, tokens: list[int], past: int = 0, rows: list[int] | None = None) -> npt.NDArray[np.float32]:
    """Logits of `rows` (default: the last) of new tokens after `past` cached ones, sequence in pages 0, 1, …"""
    pages = list(range(-(-(past + len(tokens)) // PAGE_TOKENS)))
    return runner.run(tokens, [len(tokens)], [past], [pages], rows if rows is not None else [len(tokens) - 1])


def greedy_ids(runner: Runner, prompt: list[int], count: int, stop: frozenset[int] = frozenset()) -> list[int]:
    """Greedy continuation, the end token included."""
    logits, past = run(runner, prompt), len(prompt)
    ids = [int(logits[0].argmax())]
    while len(ids) < count and ids[-1] not in stop:
        ids.append(int(run(runner, [ids[-1]], past)[0].argmax()))
        past += 1
    return ids


def mean_nll(runner: Runner, tokens: list[int], window: int = 512) -> float:
    """Mean negative log-likelihood in nats over consecutive windows, the first token of each not scored."""
    total, scored = 0.0, 0
    for begin in range(0, len(tokens), window):
        part = tokens[begin : begin + window]
        logits = run(runner, part, rows=list(range(len(part) - 1)))
        for row in range(0, len(logits), 16):  # what fits into the processor's cache: half a minute less in SmolLM2's test
            block = log_softmax(logits[row : row + 16])
            total -= block[np.arange(len(block)), part[row + 1 : row + 1 + len(block)]].sum()
        scored += len(part) - 1
    return total / scored
