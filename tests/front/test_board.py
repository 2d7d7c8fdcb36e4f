"""What is read from the files of real boards, and what heat does to the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board_trees import ORIN_NX, RASPBERRY_PI_5, RK3588, VIRTUAL_MACHINE, X86, plant
from youtu_edge.board_files import BoardFiles
from youtu_edge.config import ThermalConfig
from youtu_edge.front.machine.board_readings import Board, BoardState
from youtu_edge.front.machine.thermal import PERIOD_S, ThermalPolicy


def look(root: Path, tree: Mapping[str, str]) -> BoardState:
    return Board(BoardFiles(plant(root, tree))).read()


def test_orin_nx(tmp_path: Path) -> None:
    """A sensor that is off is left out; the power mode has its name; the GPU's load is per mille."""
    assert look(tmp_path, ORIN_NX) == BoardState(
        temperatures={"cpu": 51.2, "gpu": 47.8, "soc0": 49.1, "tj": 51.2},
        governor="schedutil",
        frequency_mhz=1497,
        frequency_limit_mhz=1984,
        power_mode="15W",
        gpu_load=0.371,
        throttled=False,
    )


def test_rk3588(tmp_path: Path) -> None:
    """A fan that turns is no throttling, a cooling device of cpufreq at work is; the memory controller has a load."""
    state = look(tmp_path, RK3588)
    assert state.temperatures["bigcore0"] == 64.7
    assert state.hottest_c == 64.7
    assert (state.frequency_mhz, state.frequency_limit_mhz) == (2304, 2304)
    assert (state.gpu_load, state.ddr_load) == (0.45, 0.37)
    assert state.throttled is True
    assert state.power_mode is None
    cool = {**RK3588, "sys/class/thermal/cooling_device2/cur_state": "0\n"}
    assert look(tmp_path, cool).throttled is False


def test_raspberry_pi_5(tmp_path: Path) -> None:
    """The firmware's word counts for now, not for what was since boot."""
    assert look(tmp_path, RASPBERRY_PI_5) == BoardState(
        temperatures={"cpu": 78.5}, governor="ondemand", frequency_mhz=2400, frequency_limit_mhz=2400, throttled=True
    )
    word = next(name for name in RASPBERRY_PI_5 if name.endswith("get_throttled"))
    assert look(tmp_path, {word: "50000\n"}).throttled is False
    assert look(tmp_path, {word: "0x1\n"}).throttled is True


def test_x86(tmp_path: Path) -> None:
    """Equal sensors get numbers; the counter of throttling means something only when it grows."""
    board = Board(BoardFiles(plant(tmp_path, X86)))
    state = board.read()
    assert state.temperatures == {"acpitz": 27.8, "x86_pkg_temp": 48.0, "acpitz_2": 29.8}
    assert state.throttled is False
    plant(tmp_path, {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "18\n"})
    assert board.read().throttled is True
    assert board.read().throttled is False


def test_over_current_on_orin_counts_while_it_happens(tmp_path: Path) -> None:
    board = Board(BoardFiles(plant(tmp_path, ORIN_NX)))
    assert board.read().throttled is False
    plant(tmp_path, {"sys/class/hwmon/hwmon2/oc3_event_cnt": "5\n"})
    assert board.read().throttled is True


@pytest.mark.parametrize("tree", [{}, VIRTUAL_MACHINE])
def test_a_machine_without_sensors_says_nothing(tmp_path: Path, tree: dict[str, str]) -> None:
    assert look(tmp_path, tree) == BoardState()
    assert BoardState().hottest_c is None


@pytest.mark.parametrize("junk", ["", "\n", "N/A", "12x", "999999999999999999", "\0", "-"])
def test_no_contents_of_any_file_can_raise(tmp_path: Path, junk: str) -> None:
    """A driver may write anything, and a file may be gone or a directory."""
    for tree in (ORIN_NX, RK3588, RASPBERRY_PI_5, X86):
        state = look(tmp_path, dict.fromkeys(tree, junk))
        assert state.temperatures == {}
    (tmp_path / "sys/class/thermal/thermal_zone99").mkdir()
    (tmp_path / "sys/class/thermal/thermal_zone99/temp").mkdir()
    look(tmp_path, {})


def test_the_mode_has_a_number_where_its_table_is_missing(tmp_path: Path) -> None:
    assert look(tmp_path, {"var/lib/nvpmodel/status": "pmode:0003 fmode:fanNull"}).power_mode == "mode 3"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(config: ThermalConfig, most: int, temperatures: list[float | None], every_s: float = PERIOD_S) -> list[int]:
    clock = Clock()
    policy = ThermalPolicy(config, most, clock)
    found = []
    for value in temperatures:
        clock.now += every_s
        policy.observe(value)
        found.append(policy.limit)
    return found


def test_the_batch_halves_while_it_is_hot_and_grows_back_when_it_is_cool() -> None:
    config = ThermalConfig(soft_c=80, hysteresis_c=5)
    assert limits(config, 16, [79, 80, 85, 85, 85, 85, 77, 75, 74, 70, 70, 70, 70]) == [
        *(16, 8, 4, 2, 1, 1),
        *(1, 1),  # within the hysteresis
        *(2, 4, 8, 16, 16),
    ]


def test_one_change_a_period_however_often_it_looks() -> None:
    """A heat sink needs time to show what the last change did."""
    assert limits(ThermalConfig(soft_c=80), 16, [90] * 9, every_s=PERIOD_S / 4) == [8, 8, 8, 8, 4, 4, 4, 4, 2]


@pytest.mark.parametrize("config", [ThermalConfig(), ThermalConfig(soft_c=80)])
def test_without_a_limit_or_without_a_sensor_nothing_is_limited(config: ThermalConfig) -> None:
    temperatures: list[float | None] = [None] * 5 if config.soft_c else [200.0] * 5
    assert limits(config, 16, temperatures) == [16] * 5


@given(st.lists(st.floats(-40, 150), max_size=60), st.integers(1, 64))
def test_the_limit_stays_between_one_and_what_is_configured(temperatures: list[float], most: int) -> None:
    """Whatever the sensors say; an odd number comes back to itself."""
    found = limits(ThermalConfig(soft_c=80), most, [*temperatures, *[20.0] * 8])
    assert all(1 <= limit <= most for limit in found)
    assert found[-1] == most
