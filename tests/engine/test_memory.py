"""The memory budget: what is read from the system, how it is split, and what is rejected."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from youtu_edge.config import Config, MemoryConfig, ModelConfig
from youtu_edge.engine.memory.budget import (
    FRONT_BYTES,
    TEXT_IDLE_BYTES,
    TEXT_WORKER_BYTES,
    budget_bytes,
    device_memory,
    plan_memory,
)
from youtu_edge.errors import ConfigError

MIB = 1024 * 1024


def fake_system(root: Path, cgroup_line: str, limits: dict[str, str]) -> tuple[Path, Path]:
    """A /proc with 8 GiB of memory and a cgroup tree with the given limit files."""
    proc, cgroup = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:        8388608 kB\nMemFree: 1 kB\n")
    (proc / "self" / "cgroup").write_text(cgroup_line + "\n")
    cgroup.mkdir()
    for name, value in limits.items():
        (cgroup / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroup / name).write_text(value + "\n")
    return proc, cgroup


@pytest.mark.parametrize(
    ("line", "limits", "device", "half"),
    [
        ("0::/", {}, 8192, 4096),
        ("0::/s/edge.service", {"s/edge.service/memory.max": "max"}, 8192, 4096),
        ("0::/s/edge.service", {"s/edge.service/memory.max": str(1500 * MIB)}, 8192, 1436),
        ("0::/s/edge.service", {"s/edge.service/memory.max": str(5000 * MIB)}, 8192, 4096),
        ("0::/a/b", {"a/memory.max": str(900 * MIB), "a/b/memory.max": "max"}, 900, 450),
        ("0::/a/b", {"a/memory.max": str(900 * MIB), "a/b/memory.max": str(400 * MIB)}, 900, 336),
        ("4:cpu,memory:/edge", {"memory/edge/memory.limit_in_bytes": str(700 * MIB)}, 8192, 636),
        (
            "4:memory:/a/b\n0::/",
            {"memory/a/memory.limit_in_bytes": str(700 * MIB), "memory/a/b/memory.limit_in_bytes": str(1 << 62)},
            700,
            350,
        ),
        ("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 8192, 4096),
        ("4:memory:/docker/5f3a\n0::/docker/5f3a", {"memory/memory.limit_in_bytes": str(700 * MIB)}, 8192, 636),
        ("0::/", {"memory.max": str(700 * MIB)}, 8192, 636),
    ],
)
def test_a_share_of_the_device_is_capped_by_our_own_limit(
    tmp_path: Path, line: str, limits: dict[str, str], device: int, half: int
) -> None:
    """In MiB. A cgroup above ours is the device, in version 1 and 2; our own limit is not divided, 64 of it stay free.

    In a container ours may be the root, with the path that it has outside or without.
    """
    system = fake_system(tmp_path, line, limits)
    assert device_memory(*system) == device * MIB
    assert budget_bytes(Config(memory=MemoryConfig(fraction=0.5)), *system) == half * MIB


def test_an_absolute_limit_wins_over_the_fraction() -> None:
    """memory.limit is taken as it is written."""
    assert budget_bytes(Config(memory=MemoryConfig(fraction=0.1, limit="1500M"))) == 1500 * MIB
    assert budget_bytes(Config(memory=MemoryConfig(fraction=0.000001))) == int(device_memory() * 0.000001)


def test_the_cache_takes_what_is_left_up_to_its_bound() -> None:
    """The parts of the plan stay within the budget, and kv_cache_max_page caps the pages."""
    config = Config(memory=MemoryConfig(limit="1G"), model=ModelConfig(kv_cache_max_page=100000))
    plan = plan_memory(config, rest=300 * MIB, weights=200 * MIB, activations=50 * MIB, page_bytes=MIB)
    assert plan.num_pages == 1024 - (FRONT_BYTES + TEXT_IDLE_BYTES + TEXT_WORKER_BYTES) // MIB - 350
    assert sum(value for name, value in plan.as_dict().items() if name != "budget") <= plan.budget
    capped = msgspec.structs.replace(config, model=ModelConfig(kv_cache_max_page=10))
    assert plan_memory(capped, rest=0, weights=0, activations=0, page_bytes=MIB).num_pages == 10


def test_a_budget_that_is_too_small_says_what_would_do() -> None:
    """The error names the key and the least value; with it the plan succeeds."""
    config = Config(memory=MemoryConfig(limit="200M"))
    sizes = {"rest": 250 * MIB, "weights": 200 * MIB, "activations": 50 * MIB, "page_bytes": MIB, "text_tokens": 64}
    with pytest.raises(ConfigError, match=r"set memory\.limit to at least 395M"):
        plan_memory(config, **sizes)
    enough = Config(memory=MemoryConfig(limit="395M"))
    assert plan_memory(enough, **sizes).num_pages == 2


def test_texts_get_what_the_longest_prompt_takes() -> None:
    """A worker may take more where prompts may be longer, but not for prompts that the cache could never hold."""
    config = Config(memory=MemoryConfig(limit="1G"), model=ModelConfig(kv_cache_max_page=100000, page_tokens=32))
    sizes = {"rest": 300 * MIB, "weights": 200 * MIB, "activations": 50 * MIB, "page_bytes": MIB}
    plans = [plan_memory(config, **sizes, text_tokens=tokens) for tokens in (0, 4096, 8192, 1_000_000, 10_000_000)]
    workers = [plan.text_worker for plan in plans]
    assert workers == sorted(workers)
    assert workers[2] - workers[1] == workers[1] - workers[0]
    assert workers[3] == workers[4]
    for plan in plans:
        left = plan.budget - sum(value for name, value in plan.as_dict().items() if name != "budget")
        assert 0 <= left < 2 * MIB


def test_the_table_of_grammars_is_set_aside_before_it_is_built() -> None:
    """A first request with a schema takes nothing from what was planned for others."""
    config = Config(memory=MemoryConfig(limit="1G"), model=ModelConfig(kv_cache_max_page=100000))
    sizes = {"rest": 300 * MIB, "weights": 200 * MIB, "activations": 50 * MIB, "page_bytes": MIB}
    plan, without = plan_memory(config, **sizes, grammar=34 * MIB), plan_memory(config, **sizes)
    assert plan.num_pages == without.num_pages - 34
    assert plan.growth == without.growth + 34 * MIB
