"""Part (c): the engine's runner on the GPU, through ONNX Runtime: the processor's tokens, speed, memory, and one death.

Works on token ids, so that numpy, msgspec, PyYAML and ONNX Runtime are all that it needs.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from youtu_edge.engine.model.device import Device
from youtu_edge.engine.model.gpu import Gpu
from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import WEIGHTS, open_package

PAGE_TOKENS = 32
NEAR_TIE = 1e-3
"""Of two scores: closer ones may change places where a library that is not ours rounds differently."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything: `FULL` on a GPU, `DRY` where a processor emulates one."""

    prompts: int
    prompt: int
    tokens: int
    steps: int
    prefill: int
    streams: tuple[int, ...] = (1, 8)

    @property
    def context(self) -> int:
        return max(self.prompt + self.tokens, self.prefill, self.prompt + self.steps + 8) + PAGE_TOKENS


FULL = Sizes(prompts=8, prompt=32, tokens=64, steps=128, prefill=512)
DRY = Sizes(prompts=2, prompt=20, tokens=6, steps=3, prefill=40)


def make_runner(package: Path, device: Device | None, sizes: Sizes) -> Runner:
    """With a cache for all streams."""
    runner = Runner(
        open_package(package, unread=(WEIGHTS,)),
        page_tokens=PAGE_TOKENS,
        threads=max(1, len(os.sched_getaffinity(0)) // 2),
        spin_us=0,
        context_length=sizes.context,
        device=device,
    )
    runner.allocate_cache(max(sizes.streams) * pages_of(sizes))
    return runner


def pages_of(sizes: Sizes) -> int:
    """Pages of one sequence of full length."""
    return -(-sizes.context // PAGE_TOKENS)


def random_prompts(runner: Runner, count: int, length: int) -> list[list[int]]:
    """The same ones for every device."""
    drawn = np.random.default_rng(5).integers(0, runner.manifest.vocab_size, (count, length))
    return [[int(token) for token in row] for row in drawn]


def greedy(
    runner: Runner, prompt: list[int], count: int, sizes: Sizes, tell: Callable[[int], None] = lambda token: None
) -> tuple[list[int], list[float]]:
    """`count` tokens after a prompt, and by how much each beat the second best."""
    pages, tokens, margins = list(range(pages_of(sizes))), list(prompt), []
    past = 0
    while len(tokens) < len(prompt) + count:
        new = tokens[past:]
        logits = runner.run(new, [len(new)], [past], [pages], [len(new) - 1])[0]
        best, second = np.partition(logits, -2)[[-1, -2]]
        past = len(tokens)
        tokens.append(int(logits.argmax()))
        margins.append(float(best - second))
        tell(tokens[-1])
    return tokens[len(prompt) :], margins


def compare_tokens(ours: Runner, theirs: Runner, sizes: Sizes) -> dict[str, Any]:
    """Greedy answers of the GPU beside the processor's."""
    equal, ties, wrong = 0, [], []
    for number, prompt in enumerate(random_prompts(ours, sizes.prompts, sizes.prompt)):
        found, _ = greedy(ours, prompt, sizes.tokens, sizes)
        expected, margins = greedy(theirs, prompt, sizes.tokens, sizes)
        first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b), None)
        if first is None:
            equal += 1
        else:
            place = {"prompt": number, "token": first, "margin": margins[first]}
            (ties if margins[first] < NEAR_TIE else wrong).append(place)
    return {"prompts": sizes.prompts, "tokens": sizes.tokens, "equal": equal, "near_ties": ties, "wrong": wrong}


def median_step(runner: Runner, streams: int, sizes: Sizes) -> float:
    """Seconds of a step in which so many sequences decode."""
    each = pages_of(sizes)
    tables = [list(range(stream * each, (stream + 1) * each)) for stream in range(streams)]
    for prompt, table in zip(random_prompts(runner, streams, sizes.prompt), tables, strict=True):
        runner.run(prompt, [len(prompt)], [0], [table], [len(prompt) - 1])
    seconds = []
    for step in range(sizes.steps + 3):  # the first ones take memory
        begun = time.perf_counter()
        past = [sizes.prompt + step] * streams
        logits = runner.run([step % 100] * streams, [1] * streams, past, tables, list(range(streams)))
        logits.argmax(axis=1)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[3:])


def prefill_seconds(runner: Runner, sizes: Sizes) -> float:
    """Of one prompt in one step, the best of three."""
    (prompt,) = random_prompts(runner, 1, sizes.prefill)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        runner.run(prompt, [len(prompt)], [0], [list(range(pages_of(sizes)))], [len(prompt) - 1])
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def check_recovery(package: Path, gpu: Gpu, sizes: Sizes, prompt: list[int], expected: list[int]) -> dict[str, Any]:
    """A process of its own answers and is killed in the middle; the next one goes on from the tokens that were told."""
    before, _ = gpu.library.memory()
    half = max(1, sizes.tokens // 2)
    told = _answer(package, gpu, sizes, prompt, sizes.tokens, kill_after=half)
    after, _ = gpu.library.memory()
    rest = _answer(package, gpu, sizes, prompt + told, sizes.tokens - len(told))
    return {
        "told_before_the_kill": len(told),
        "equal": told + rest == expected,
        "bytes_not_given_back": max(0, before - after),
    }


def _answer(
    package: Path, gpu: Gpu, sizes: Sizes, prompt: list[int], count: int, kill_after: int | None = None
) -> list[int]:
    """Tokens that a new process writes, one a line, until it ends or has written `kill_after` of them."""
    task = {"package": str(package), "library": str(gpu.operators), "kind": gpu.kind, "provider": gpu.provider}
    task |= {"sizes": [sizes.prompts, sizes.prompt, sizes.tokens, sizes.steps, sizes.prefill]}
    command = [sys.executable, "-m", "gpu.engine", json.dumps(task | {"prompt": prompt, "count": count})]
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as process:
        assert process.stdout is not None
        tokens = []
        for line in process.stdout:
            tokens.append(int(line))
            if len(tokens) == kill_after:
                process.send_signal(signal.SIGKILL)
                break
    return tokens


def run_engine(package: Path, gpu: Gpu, sizes: Sizes) -> dict[str, Any]:
    """All of part (c) for one package. `good`: the processor's tokens, and none lost by a death."""
    free, _ = gpu.library.memory()
    begun = time.perf_counter()
    runner = make_runner(package, gpu, sizes)
    loaded = time.perf_counter() - begun
    steps = {str(streams): median_step(runner, streams, sizes) for streams in sizes.streams}
    document: dict[str, Any] = {
        "package": runner.manifest.name,
        "device": gpu.note,
        "load_seconds": round(loaded, 3),
        "decode_tokens_per_second": {streams: round(int(streams) / seconds, 1) for streams, seconds in steps.items()},
        "prefill_tokens": sizes.prefill,
        "prefill_seconds": round(prefill_seconds(runner, sizes), 4),
    }
    now, held = gpu.library.memory()
    document["memory"] = {
        "weights_file_bytes": (package / WEIGHTS).stat().st_size,
        "held_by_the_operators_bytes": held,
        "taken_of_the_gpu_bytes": free - now,
        "host_resident_bytes": _resident(),
    }
    (prompt,) = random_prompts(runner, 1, sizes.prompt)
    expected, _ = greedy(runner, prompt, sizes.tokens, sizes)
    document["tokens"] = compare_tokens(runner, make_runner(package, None, sizes), sizes)
    document["recovery"] = check_recovery(package, gpu, sizes, prompt, expected)
    document["good"] = not document["tokens"]["wrong"] and document["recovery"]["equal"]
    return document


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _main(task: dict[str, Any]) -> None:
    """The process that may be killed."""
    sizes = Sizes(*task["sizes"])
    gpu = Gpu(Path(task["library"]), kind=task["kind"], provider=task["provider"])
    runner = make_runner(Path(task["package"]), gpu, sizes)
    greedy(runner, task["prompt"], task["count"], sizes, lambda token: print(token, flush=True))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
