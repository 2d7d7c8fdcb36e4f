"""Memory pressure is handled in steps with hysteresis; a leaking engine is replaced without clients noticing."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.scripted_daemon import running, wait_until
from youtu_edge.config import MemoryConfig
from youtu_edge.front.machine.leak_watch import LeakWatch
from youtu_edge.front.machine.memory_governor import NAMES, RAISE_S, RECOVER_S, REQUESTS, MemoryGovernor
from youtu_edge.front.machine.memory_pressure import MemoryPressure, MemoryPressureReader

MIB = 1 << 20
CALM = MemoryPressure(total=1000, available=900, stall_percent=0.0)
SHORT = MemoryPressure(total=1000, available=10, stall_percent=0.0)
STALLED = MemoryPressure(total=1000, available=900, stall_percent=50.0)
BETWEEN = MemoryPressure(total=1000, available=60, stall_percent=12.0)


def recorded(root: Path, files: dict[str, str]) -> MemoryPressureReader:
    """A reader of a /proc and a /sys/fs/cgroup with the given files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return MemoryPressureReader(root / "proc", root / "cgroup")


MEMINFO = "MemTotal:        1000000 kB\nMemFree:          50000 kB\nMemAvailable:     250000 kB\n"
PSI = "some avg10={} avg60=1.00 avg300=0.10 total=123\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n"


@pytest.mark.parametrize(
    ("files", "stall"),
    [
        ({}, 0.0),
        ({"proc/pressure/memory": PSI.format("3.25")}, 3.25),
        (
            {
                "proc/pressure/memory": PSI.format("1.00"),
                "proc/self/cgroup": "0::/system.slice/youtu-edge.service\n",
                "cgroup/system.slice/youtu-edge.service/memory.pressure": PSI.format("42.50"),
            },
            42.5,
        ),
        (
            {"proc/self/cgroup": "4:memory:/edge\n0::/edge\n", "cgroup/unified/edge/memory.pressure": PSI.format("7.00")},
            7.0,
        ),
        ({"proc/pressure/memory": "nonsense\n", "proc/self/cgroup": "4:memory:/edge\n"}, 0.0),
    ],
)
def test_pressure_is_read_from_the_machine_and_from_our_cgroup(tmp_path: Path, files: dict[str, str], stall: float) -> None:
    pressure = recorded(tmp_path, {"proc/meminfo": MEMINFO, **files}).read()
    assert pressure == MemoryPressure(1000000 * 1024, 250000 * 1024, stall)
    assert pressure.available_fraction == 0.25


def test_a_kernel_that_tells_nothing_means_no_pressure(tmp_path: Path) -> None:
    assert recorded(tmp_path, {}).read() == MemoryPressure(0, 0, 0.0)
    assert recorded(tmp_path, {}).read().available_fraction == 1.0


@pytest.mark.parametrize("trouble", [SHORT, STALLED])
def test_the_level_rises_step_by_step_and_falls_only_after_a_calm_time(trouble: MemoryPressure) -> None:
    now = 0.0
    governor = MemoryGovernor(MemoryConfig(), lambda: now)
    levels = []
    for _ in range(6):
        assert governor.observe(trouble)
        assert not governor.observe(trouble), "twice within RAISE_S"
        levels.append(governor.level)
        now += RAISE_S
    assert levels == [1, 2, 3, 4, 4, 4]
    for _ in range(100):
        now += 1.0
        assert not governor.observe(BETWEEN)
    assert governor.level == REQUESTS, "between the thresholds nothing changes"
    for expected in (3, 2, 1, 0):
        now += RECOVER_S - 0.5
        governor.observe(CALM)
        assert governor.level == expected + 1
        now += 0.5
        governor.observe(CALM)
        assert governor.level == expected


@given(st.lists(st.tuples(st.floats(0.1, 30), st.floats(0, 1), st.floats(0, 100)), max_size=60))
def test_whatever_is_read_the_level_moves_one_step_at_a_time_and_in_the_right_direction(
    readings: list[tuple[float, float, float]],
) -> None:
    now = 0.0
    config = MemoryConfig()
    governor = MemoryGovernor(config, lambda: now)
    last_fall = last_trouble = -1e9
    for wait, available, stall in readings:
        now += wait
        before = governor.level
        must_shed = governor.observe(MemoryPressure(1000, int(available * 1000), stall))
        fraction = int(available * 1000) / 1000
        is_high = fraction < config.min_available or stall >= config.max_stall_percent
        is_low = fraction >= 1.5 * config.min_available and stall < config.max_stall_percent / 2
        assert abs(governor.level - before) <= 1
        assert 0 <= governor.level < len(NAMES)
        assert governor.level <= before or is_high
        if governor.level < before:
            assert is_low
            assert now - max(last_fall, last_trouble) >= RECOVER_S - 1e-6
            last_fall = now
        if must_shed:
            assert is_high
            assert governor.level > 0
        if not is_low:
            last_trouble = now if not is_high or must_shed else last_trouble


def test_growth_beyond_the_plan_is_found_and_a_single_peak_is_not() -> None:
    now = 0.0
    watch = LeakWatch(100 * MIB, 800.0, lambda: now)
    watch.restart(500 * MIB)
    for held in (300, 480, 500, 450, 5000, 500, 590):
        assert not watch.observe(held * MIB)
        now += 10
    assert watch.observe(650 * MIB) is False
    assert watch.observe(650 * MIB) is False
    assert watch.observe(650 * MIB) is True
    assert watch.growth == 150 * MIB
    watch.restart(650 * MIB)
    assert not any(watch.observe(700 * MIB) for _ in range(10))


@given(st.integers(1, 400), st.integers(0, 3))
def test_what_counts_is_the_slope(rate_mib: int, noise: int) -> None:
    """100 MiB in 800 s are allowed: growth well above is found within the window, growth well below never."""
    now = 0.0
    watch = LeakWatch(100 * MIB, 800.0, lambda: now)
    watch.restart(0)
    found = None
    for second in range(0, 8000, 10):
        now = float(second)
        held = rate_mib * second // 800 + (second // 10 * 7) % (noise + 1)
        if watch.observe(held * MIB):
            found = second
            break
    if rate_mib >= 110:
        assert found is not None
        assert found <= 920
    if rate_mib <= 80:
        assert found is None


def test_a_machine_without_memory_makes_the_daemon_give_up_one_thing_after_the_other() -> None:
    with running("memory.min_available=0.999") as daemon:
        daemon.wait_ready()
        seen: list[str] = []

        def level() -> str:
            name: str = daemon.status()["memory"]["pressure"]
            if name not in seen:
                seen.append(name)
            return name

        wait_until(lambda: level() == "requests", 20)
        assert seen == [name for name in NAMES if name in seen], "in this order"
        status, headers, body = daemon.request("POST", "/chat", {"prompt": "x"})
        assert (status, json.loads(body)["error"]["code"]) == (503, "memory_pressure")
        assert daemon.request("GET", "/readyz")[::2] == (503, b"the machine is short of memory\n")
        assert int(headers["retry-after"]) > 0
        assert daemon.status()["memory"]["max_sequences"] == 4
        assert daemon.metric("youtu_edge_memory_pressure_level") == 4
        assert daemon.status()["engine"]["waiting"] == 4, "the engine was told"
        assert daemon.stop() == 0
        assert b"memory_pressure given_up=prefixes" in daemon.log


def test_an_engine_that_leaks_is_replaced_between_requests_and_none_is_lost() -> None:
    with running("memory.max_growth=16M/60", "service.max_restart_rate=1/300", "service.log_level=warning") as daemon:
        daemon.wait_ready()
        answers: list[Any] = []

        def ask() -> None:
            while daemon.status()["recycles"] < 2 and len(answers) < 4000:
                answers.append(daemon.chat("leak a little"))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(90)
        assert daemon.status()["recycles"] >= 2
        assert daemon.status()["restarts"] == 0
        assert [answer for answer in answers if answer[0] != 200] == []
        assert {answer[1]["choices"][0]["message"]["content"] for answer in answers} == {"leak a little"}
        assert daemon.stop() == 0
        assert b"engine_recycle reason=" in daemon.log
