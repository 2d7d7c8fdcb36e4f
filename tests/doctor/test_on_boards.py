"""The doctor on the recorded files of boards, with clocks and limits that the machine that tests does not have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from board_trees import RK3588, RK3588_CORES, X86_CORES, orin_nx, plant
from tiny_model import make_tiny_package
from youtu_edge.config import Config, EngineConfig, MemoryConfig, ModelConfig, ThermalConfig
from youtu_edge.cores import ranges
from youtu_edge.doctor import board, clock, gpu, memory, processor
from youtu_edge.doctor.examination import examine
from youtu_edge.doctor.finding import Finding, worst
from youtu_edge.doctor.surroundings import Surroundings

MEMORY = {"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n", "proc/self/cgroup": "0::/\n"}
MINE = ranges(os.sched_getaffinity(0))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("doctor") / "package", recipe="q4")


def on_board(root: Path, tree: Mapping[str, str], config: Config | None = None) -> Surroundings:
    return Surroundings(config or Config(), root=plant(root, {**MEMORY, **tree}))


def warnings(findings: list[Finding]) -> list[str]:
    """All lines except the one that describes the board."""
    assert [one.level for one in findings if one.level != "warn"] == ["ok"]
    return [one.message for one in findings if one.level == "warn"]


def test_an_orin_nx_in_its_fastest_mode_is_healthy(tmp_path: Path) -> None:
    surroundings = on_board(tmp_path, orin_nx("MAXN"))
    assert list(board.examine(surroundings)) == [
        Finding("ok", "power mode MAXN, 729 of at most 1984 MHz (schedutil), hottest sensor 51.2 degrees")
    ]
    threads = f"{len(os.sched_getaffinity(0))} threads on" if "-" in MINE else "one thread on"
    assert list(processor.examine(surroundings)) == [
        Finding("ok", f"8x Cortex-A78AE (0-7); the engine uses {threads} {MINE}")
    ]
    assert list(gpu.examine(surroundings)) == [
        Finding(
            "ok", "the GPU of a Jetson; not used: libyoutu_edge_ops_cuda.so was not built; scripts/build-ops-cuda builds it"
        )
    ]
    assert list(memory.examine(surroundings)) == [
        Finding("ok", "7.6 GiB, 5.7 GiB available now; budget of the daemon 3.8 GiB")
    ]


@pytest.mark.parametrize("mode", ["10W", "15W"])
def test_a_power_mode_that_switches_cores_off(tmp_path: Path, mode: str) -> None:
    surroundings = on_board(tmp_path, orin_nx(mode))
    assert warnings(list(board.examine(surroundings))) == [
        f"the power mode {mode} switches 4 cores off; `sudo nvpmodel -p --verbose` lists the modes, `sudo nvpmodel -m N` "
        "selects one; then restart youtu-edge"
    ]
    assert next(processor.examine(surroundings)).message.startswith("4x Cortex-A78AE (0-3), 4 offline; ")


def test_an_rk3588_that_is_slowed_down_by_heat(tmp_path: Path) -> None:
    surroundings = on_board(tmp_path, {**RK3588, **RK3588_CORES}, Config(thermal=ThermalConfig(soft_c=60)))
    assert next(processor.examine(surroundings)).message.startswith("4x Cortex-A76 (4-7), 4x Cortex-A55 (0-3); ")
    assert next(gpu.examine(surroundings)).message == "an NPU; not used: the engine computes on the processor"
    assert warnings(list(board.examine(surroundings))) == [
        "the board is throttled by heat, under-voltage or over-current; check its fan and power supply",
        "65 degrees is at or above thermal.soft_c 60: the batch is reduced; cool the board",
    ]


def test_a_governor_that_keeps_the_lowest_clock(tmp_path: Path) -> None:
    tree = {path: "powersave\n" if path.endswith("scaling_governor") else text for path, text in orin_nx("25W").items()}
    (said,) = warnings(list(board.examine(on_board(tmp_path, tree))))
    assert said.startswith("the governor powersave pins the lowest clock; write schedutil to ")
    tree["sys/devices/system/cpu/cpufreq/policy0/scaling_driver"] = "intel_pstate\n"  # there it is the usual one
    assert warnings(list(board.examine(on_board(tmp_path, tree)))) == []


def test_a_core_that_somebody_switched_off(tmp_path: Path) -> None:
    tree = {**X86_CORES, "sys/devices/system/cpu/online": "0\n"}
    (said,) = warnings(list(board.examine(on_board(tmp_path, tree))))
    assert said.startswith("1 cores are offline; write 1 to /sys/devices/system/cpu/cpuN/online")


def test_a_process_that_may_use_slow_cores_only(tmp_path: Path) -> None:
    """As here: this machine has none of the numbers of the fast ones."""
    if any(number >= 4 for number in os.sched_getaffinity(0)):
        pytest.skip("this machine has more cores")
    assert warnings(list(processor.examine(on_board(tmp_path, RK3588_CORES)))) == [
        f"this process may only use slow cores ({MINE}); let it use 4-7 (taskset, CPUAffinity= of the unit, cpusets)"
    ]


def test_more_threads_than_cores_or_time(tmp_path: Path) -> None:
    config = Config(engine=EngineConfig(threads=1000))
    tree = {**X86_CORES, "sys/fs/cgroup/cpu.max": "150000 100000\n"}
    cores, quota = warnings(list(processor.examine(on_board(tmp_path, tree, config))))
    assert cores.startswith("engine.threads 1000 exceeds the ")
    assert quota == "engine.threads 1000 exceeds the cgroup's quota of 1.5 cores; set it to 0"
    assert warnings(list(processor.examine(on_board(tmp_path, tree)))) == []


def test_a_machine_that_says_nothing_about_itself(tmp_path: Path) -> None:
    assert next(board.examine(on_board(tmp_path, {}))).message == "no sensor or clock was found, as in a virtual machine"
    assert next(processor.examine(on_board(tmp_path, {}))).message.startswith("not described in /sys; the engine uses ")
    assert list(gpu.examine(on_board(tmp_path, {}))) == [Finding("ok", "none, and none is needed")]


def test_a_gpu_that_is_asked_for_and_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the library there, a Jetson's GPU is used, and its clock is advised on."""
    cuda = Config(engine=EngineConfig(device="cuda"))
    assert list(gpu.examine(on_board(tmp_path / "none", {}, cuda))) == [
        Finding("fail", "engine.device is cuda, but there is no NVIDIA GPU")
    ]
    tree = orin_nx("MAXN") | {
        "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
        "sys/class/devfreq/17000000.gpu/max_freq": "918000000\n",
    }
    (unbuilt,) = gpu.examine(on_board(tmp_path / "unbuilt", tree, cuda))
    assert unbuilt.level == "fail"
    monkeypatch.setattr(gpu, "cuda_library_path", lambda: tmp_path)
    (used,) = gpu.examine(on_board(tmp_path / "built", tree, cuda))
    assert used.level == "ok"
    assert used.message.startswith("the GPU of a Jetson; used if ONNX Runtime has its CUDA provider: see `device` in /v1/s")
    assert used.message.endswith("; its clock may drop to 306 of 918 MHz; `sudo jetson_clocks` pins it")
    (idle,) = gpu.examine(on_board(tmp_path / "idle", tree, Config(engine=EngineConfig(device="cpu"))))
    assert idle == Finding("ok", "the GPU of a Jetson; not used: engine.device is cpu")


def test_a_container_whose_memory_is_too_little(tmp_path: Path, package: Path) -> None:
    tree = {"proc/self/cgroup": "0::/pod\n", "sys/fs/cgroup/pod/memory.max": str(100 * 2**20)}
    config = Config(model=ModelConfig(path=str(package)))
    described, sick = memory.examine(on_board(tmp_path, tree, config))
    assert described.message.endswith(", the cgroup allows 100 MiB; budget of the daemon 36.0 MiB")
    assert sick.level == "fail"
    assert sick.message.startswith("the budget of 36 MiB is too small for this model")
    assert list(memory.examine(on_board(tmp_path, tree, Config(memory=MemoryConfig(limit="90M"))))) != []


def test_a_machine_short_of_memory(tmp_path: Path) -> None:
    tree = {"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n"}
    (said,) = warnings(list(memory.examine(on_board(tmp_path, tree))))
    assert said.startswith("only 97.7 MiB available: below memory.min_available the daemon sheds load")


def test_a_clock_that_is_not_set(tmp_path: Path) -> None:
    found = list(clock.examine(Surroundings(Config(), now=lambda: 3600.0)))
    assert worst(found) == "fail"
    assert found[0].message.startswith("the clock is not set, it reads 1970-01-01 01:00:00 UTC: certificates, quotas")


def test_a_clock_that_somebody_sets_meanwhile(tmp_path: Path) -> None:
    found = list(clock.examine(Surroundings(Config(), drift=lambda: -3600.0)))
    assert found[0] == Finding("warn", "the clock jumped by -3600 s during this check: two programs may set it; keep one")


def test_nothing_that_a_board_says_keeps_the_others_from_being_examined(tmp_path: Path) -> None:
    """A /proc that makes no sense is told, and the rest is examined."""
    surroundings = on_board(tmp_path, {"proc/self/cgroup": "nonsense\n"}, Config(engine=EngineConfig(threads=1)))
    found = list(examine(surroundings))
    assert {check for check, _ in found} >= {"processor", "memory", "disk", "service"}
    (said,) = [one.message for check, one in found if check == "memory"]
    assert said.startswith("this examination failed: ValueError: ")
