"""Whether a package is fit for use: it is prepared and loaded as the daemon would, and asked what it is known to answer.

What touches the package's graph runs in other processes with bounded memory and time: a package can crash nothing but its
own trial.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from youtu_edge.config import Config
from youtu_edge.engine.memory import budget_bytes
from youtu_edge.errors import PackageError
from youtu_edge.front.supervision.engine_death import describe_exit
from youtu_edge.golden import GOLDEN, LARGEST_MEAN_REGRET, Golden, mean_regret, read_golden
from youtu_edge.package import Package
from youtu_edge.protocol import ChatMessage, SamplingParams, Submit
from youtu_edge.updates.limited_process import limited_process
from youtu_edge.updates.trial_engine import TrialEngine, trial_engine

_SPARE_BYTES = 256 * 1024 * 1024
"""Beyond the daemon's budget: thread stacks and heap that are reserved but never touched count for the limit."""
_TRIAL_PAGES = 64
_SIMPLE_TOKENS = 8
_GREEDY = SamplingParams()


def try_package(package: Package, config: Config, report: Callable[[str], None]) -> None:
    """Prepare (if configured) and try a verified package; `report` gets one line a result.

    Raises PackageError when it is not fit for use.
    """
    deadline = time.monotonic() + config.updates.trial_deadline_s
    memory = budget_bytes(config) + _SPARE_BYTES
    if config.updates.prepare:
        report(_prepare(package.root, memory, deadline))
    golden = read_golden(package.root / GOLDEN) if GOLDEN in package.manifest.files else None
    with tempfile.TemporaryFile() as log, trial_engine(memory, deadline, log) as engine:
        ready = engine.start(_trial_config(config, package.root))
        report(f"loaded in {ready.load_seconds:.1f} s")
        _answer_simple_prompts(engine, package)
        if golden is None:
            report(f"no {GOLDEN}: tested only that it answers at all")
        else:
            report(_compare(engine, golden))


def _prepare(root: Path, memory: int, deadline: float) -> str:
    """Packed weights only make the start faster; a package is refused here only if it brings the packing down."""
    command = [sys.executable, "-m", "youtu_edge", "model", "prepare", str(root)]
    with limited_process(command, memory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _, errors = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise PackageError("the package was still being prepared at the deadline (updates.trial_deadline_s)") from None
    if process.returncode < 0:
        how = describe_exit(process.returncode)
        raise PackageError(f"the package brings ONNX Runtime down while it is prepared: {how}")
    if process.returncode > 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        return f"not prepared for this CPU, it will start slower: {lines[-1]}"
    return "prepared for this CPU"


def _trial_config(config: Config, root: Path) -> Config:
    """The daemon's own, with a small cache: the daemon may be running beside us with the whole budget."""
    pages = min(_TRIAL_PAGES, config.model.kv_cache_max_page)
    model = msgspec.structs.replace(config.model, path=str(root), kv_cache_max_page=pages)
    service = msgspec.structs.replace(config.service, log_level="warning")
    return msgspec.structs.replace(config, model=model, service=service)


def _answer_simple_prompts(engine: TrialEngine, package: Package) -> None:
    """A plain prompt, and a chat where the package has a template: both are tokenised, computed and sampled."""
    requests = [Submit("plain", _GREEDY, _SIMPLE_TOKENS, prompt="Hello", ignore_eos=True)]
    if package.has_chat_template:
        messages = [ChatMessage("user", "Hello")]
        requests.append(Submit("chat", _GREEDY, _SIMPLE_TOKENS, messages=messages, ignore_eos=True))
    for tokens in engine.answers(requests):
        if len(tokens) != _SIMPLE_TOKENS:
            raise PackageError(f"the package answered {len(tokens)} tokens instead of {_SIMPLE_TOKENS}")


def _compare(engine: TrialEngine, golden: Golden) -> str:
    requests = [
        Submit(
            f"{number}-{position}",
            _GREEDY,
            position + 1,
            prompt=prompt.text,
            ignore_eos=True,
            sent_tokens=prompt.answer[:position],
        )
        for number, prompt in enumerate(golden.prompts)
        for position in range(len(prompt.answer))
    ]
    tokens = iter(engine.answers(requests))
    for number, prompt in enumerate(golden.prompts):
        if (found := engine.prompt_tokens[f"{number}-0"]) != prompt.prompt_tokens:
            raise PackageError(
                f"the package's tokenizer cuts {prompt.text!r} into {found} tokens instead of {prompt.prompt_tokens}; "
                "export the model again"
            )
    choices = [[_only(next(tokens)) for _ in prompt.answer] for prompt in golden.prompts]
    regret = mean_regret(golden.prompts, choices)
    expected, chosen = [t for prompt in golden.prompts for t in prompt.answer], list(itertools.chain(*choices))
    positions, equal = len(chosen), sum(a == b for a, b in zip(expected, chosen, strict=True))
    figures = f"{equal} of {positions} golden tokens are equal, mean regret {regret:.3f} nats"
    if not regret <= LARGEST_MEAN_REGRET:
        raise PackageError(
            f"the package does not answer its golden prompts: {figures} (at most {LARGEST_MEAN_REGRET}); "
            "it is not the model that was exported, or this CPU computes it wrongly"
        )
    return figures


def _only(tokens: Sequence[int]) -> int:
    if len(tokens) != 1:
        raise PackageError(f"the engine answered {len(tokens)} tokens where one was asked for")
    return tokens[0]
