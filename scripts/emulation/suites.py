"""The tests that run on emulated ARM64, and those that are excluded, each with its reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """Paths for pytest; `left_out` has excluded node ids and the reasons. `processes`: 0 runs them in pytest itself."""

    name: str
    paths: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    processes: int = os.cpu_count() or 1


OPS = Suite(
    "ops",
    ("tests/ops",),
    {"tests/ops/test_board_prediction.py": "cross-compiles and runs qemu itself"},
)
_MEMORY = "measures the memory of a process, which includes the emulator and its translated code"
_COMMAND = "reads the command of another process, which is the emulator's"
_LIMIT = "sets a memory limit, which the emulator does not impose on the process inside: it would take all memory there is"
ENGINE = Suite(
    "engine",
    ("tests/engine",),
    {
        "tests/engine/test_activations.py": _MEMORY,
        "tests/engine/test_reserve.py": _LIMIT,
        "tests/engine/test_out_of_memory.py::test_a_prompt_that_finds_no_memory_is_computed_in_smaller_steps": _LIMIT,
        "tests/engine/test_text_workers.py::test_a_text_that_takes_too_much_memory_is_refused": _LIMIT,
    },
)
EXPORT = Suite(
    "export",
    tuple(
        f"tests/export/test_{name}.py"
        for name in (
            "kept_codes", "rounding", "table_bits", "packed_checkpoints", "youtu_awq", "gptq_zero_points", "rope", "llama",
            "families", "chatglm_first", "shards", "tokenizer", "whole_texts",
        )
    ),
)  # fmt: skip
PROCESS = Suite(
    "process",
    ("tests/process",),
    {
        "tests/process/test_memory_contract.py": _MEMORY,
        "tests/process/test_process_limits.py": _MEMORY,
        "tests/process/test_daemon.py::test_the_front_is_small_and_imports_no_model_library": _MEMORY,
        "tests/process/test_doctor.py::test_a_limit_of_the_process_on_its_memory": _LIMIT,
        "tests/process/test_doctor.py::test_a_daemon_that_runs_is_no_sickness_and_one_that_hangs_is_named": _COMMAND,
        "tests/process/test_bench_board.py": "measures speed",
    },
)
QUICK = Suite(
    "ops",
    (
        "tests/ops/test_linear.py",
        "tests/ops/test_row_operators.py",
        "tests/ops/test_batch_invariance.py::test_attention_and_its_cache_have_the_same_bits_in_every_instruction_set",
    ),
    processes=0,
)
"""Part of every CI run: compares the operators' bits with their definition. One process: emulated ones start slowly."""
