"""Which cores of a board compute: read from recorded /sys trees, within what the process may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board_trees import A55, A76, CPU, ORIN_NX_MODES, RK3588_CORES, X86_CORES, cores, orin_nx, plant
from youtu_edge.board_files import BoardFiles
from youtu_edge.cores import ComputeCores, Processor, compute_cores, parse_ranges, ranges, read_processor
from youtu_edge.cpu_quota import cpu_quota


def read(root: Path, tree: Mapping[str, str]) -> Processor:
    return read_processor(BoardFiles(plant(root, tree)))


def without(tree: Mapping[str, str], *names: str) -> dict[str, str]:
    return {path: text for path, text in tree.items() if not path.endswith(names)}


def clocks(kilohertz: list[int]) -> dict[str, str]:
    return {f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq": f"{value}\n" for number, value in enumerate(kilohertz)}


RK3588_CLOCKS = clocks([1800000] * 4 + [2256000] * 2 + [2304000] * 2)


@pytest.mark.parametrize(
    "tree",
    [
        RK3588_CORES,
        {**without(RK3588_CORES, "cpu_capacity"), **RK3588_CLOCKS},
        {**without(RK3588_CORES, "cpu4/cpu_capacity"), **RK3588_CLOCKS},
        without(RK3588_CORES, "cpu_capacity"),
    ],
    ids=["capacity", "part and clock", "one capacity missing", "part alone"],
)
def test_the_a76_of_an_rk3588_compute_and_the_a55_do_not(tmp_path: Path, tree: dict[str, str]) -> None:
    """By the kernel's capacities; without them a clock of an A55 counts half, as its 1.8 GHz are not far from 2.3."""
    processor = read(tmp_path, tree)
    assert processor.fast(range(8)) == {4, 5, 6, 7}
    assert str(processor) == "4x Cortex-A76 (4-7), 4x Cortex-A55 (0-3)"


def test_clocks_alone_tell_little_cores_that_are_much_slower(tmp_path: Path) -> None:
    tree = {**cores([0] * 4, [0] * 4), **clocks([1000000] * 2 + [2200000] * 2)}
    assert read(tmp_path, tree).fast(range(4)) == {2, 3}


@pytest.mark.parametrize("mode", ORIN_NX_MODES)
def test_all_cores_of_an_orin_nx_that_its_power_mode_leaves_online_compute(tmp_path: Path, mode: str) -> None:
    processor, online = read(tmp_path, orin_nx(mode)), parse_ranges(ORIN_NX_MODES[mode][1])
    assert processor.fast(online) == set(online)
    offline = "" if len(online) == 8 else ", 4 offline"
    assert str(processor) == f"{len(online)}x Cortex-A78AE ({ranges(online)}){offline}"


def test_an_x86_processor_has_its_own_name_and_all_its_cores(tmp_path: Path) -> None:
    processor = read(tmp_path, X86_CORES)
    assert processor.fast({0, 1}) == {0, 1}
    assert str(processor) == "2x Intel(R) Core(TM) i7-1260P (0-1)"


@pytest.mark.parametrize(("allowed", "fast"), [({0, 1, 2, 3}, {0, 1, 2, 3}), ({3, 4, 5}, {4, 5}), ({0, 6}, {6})])
def test_only_cores_that_the_process_may_use_are_chosen(tmp_path: Path, allowed: set[int], fast: set[int]) -> None:
    """Where only slow ones are allowed they compute."""
    assert read(tmp_path, RK3588_CORES).fast(allowed) == fast


@pytest.mark.parametrize("junk", ["", "x", "0-", "-1", "0,,1", "99999-1", "0x", "0-7\0junk"])
def test_a_machine_that_says_nothing_computes_on_all_that_it_may(tmp_path: Path, junk: str) -> None:
    for tree in ({}, dict.fromkeys(RK3588_CORES, junk), dict.fromkeys(X86_CORES, junk)):
        assert read(tmp_path, tree).fast({0, 5}) == {0, 5}


def test_a_core_that_sys_does_not_know_makes_all_of_them_compute(tmp_path: Path) -> None:
    """Such as one that came online just now."""
    assert read(tmp_path, RK3588_CORES).fast({0, 4, 8}) == {0, 4, 8}


@given(st.sets(st.integers(0, 200)))
def test_a_list_of_cores_reads_as_it_is_written(numbers: set[int]) -> None:
    assert parse_ranges(ranges(numbers)) == sorted(numbers)


MINE = frozenset(os.sched_getaffinity(0))


def test_zero_threads_are_one_for_each_fast_core_and_any_other_number_is_taken(tmp_path: Path) -> None:
    files = BoardFiles(plant(tmp_path, cores([A55] + [A76] * max(MINE), [400] + [1000] * max(MINE))))
    fast = MINE - {0} or MINE
    assert compute_cores(0, files) == ComputeCores(fast, len(fast))
    assert compute_cores(5, files) == ComputeCores(MINE, 5)


@pytest.mark.parametrize(
    ("tree", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/cpu.max": "2 1"}, 2.0),
        ({"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/x/cpu.max": "400000 100000\n"}, 4.0),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/a\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "50000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "junk\n", "sys/fs/cgroup/cpu.max": "1 0\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path: Path, tree: dict[str, str], quota: float | None) -> None:
    """The least of our cgroup and those above it, in both versions."""
    assert cpu_quota(BoardFiles(plant(tmp_path, tree))) == quota


@pytest.mark.parametrize(("quota", "threads"), [("50000", 1), ("100000", 1), ("190000", 1), ("9900000", len(MINE))])
def test_no_more_threads_than_a_quota_lets_run_at_once(tmp_path: Path, quota: str, threads: int) -> None:
    """With one thread too many, all of them are throttled for the rest of every period."""
    plant(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})
    assert compute_cores(0, BoardFiles(tmp_path)) == ComputeCores(MINE, threads)
