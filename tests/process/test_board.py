"""A real daemon on a board's /sys files: what it reports, and how heat narrows the batch."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from board_trees import ORIN_NX, RK3588, RK3588_CORES, orin_nx, plant
from daemon_process import Daemon, Stream, chat
from updates_support import wait_until
from youtu_edge.cores import ranges


def on_board(root: Path, tree: Mapping[str, str], package: Path, directory: Path, **settings: object) -> Daemon:
    plant(root, tree)

    class DaemonOnBoard(Daemon):
        PROGRAM = (sys.executable, str(Path(__file__).parents[1] / "serve_on_board.py"), str(root))

    return DaemonOnBoard(package, directory, **settings)


def board(daemon: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(daemon.get("/v1/status")[1])["board"]
    return document


def test_status_and_metrics_tell_about_the_board(tiny_package: Path, tmp_path: Path) -> None:
    with on_board(tmp_path / "orin", ORIN_NX, tiny_package, tmp_path) as daemon:
        daemon.wait_ready()
        wait_until(lambda: board(daemon)["temperatures"])
        assert board(daemon) == {
            "temperatures": {"cpu": 51.2, "gpu": 47.8, "soc0": 49.1, "tj": 51.2},
            "governor": "schedutil",
            "frequency_mhz": 1497,
            "frequency_limit_mhz": 1984,
            "power_mode": "15W",
            "gpu_load": 0.371,
            "ddr_load": None,
            "throttled": False,
            "max_sequences": None,
        }
        assert daemon.metric('youtu_edge_board_temperature_celsius{sensor="cpu"}') == 51.2
        assert daemon.metric("youtu_edge_board_frequency_hertz") == 1497e6
        assert daemon.metric("youtu_edge_board_gpu_load_ratio") == 0.371
        assert daemon.metric("youtu_edge_board_throttled") == 0
        lines = daemon.get("/metrics")[1].decode().splitlines()
        assert "# TYPE youtu_edge_board_ddr_load_ratio gauge" in lines
        assert not [line for line in lines if line.startswith("youtu_edge_board_ddr_load_ratio")]


@pytest.mark.parametrize(
    ("tree", "cores", "more"),
    [
        (
            orin_nx("10W"),
            "4x Cortex-A78AE (0-3), 4 offline",
            " power_mode=10W governor=schedutil frequency_limit_mhz=1190",
        ),
        (
            {**RK3588, **RK3588_CORES},
            "4x Cortex-A76 (4-7), 4x Cortex-A55 (0-3)",
            " governor=ondemand frequency_limit_mhz=2304",
        ),
    ],
    ids=["Orin NX in 10W", "RK3588"],
)
def test_one_line_at_the_start_tells_cores_and_power_mode(
    tiny_package: Path, tmp_path: Path, tree: dict[str, str], cores: str, more: str
) -> None:
    """And where the engine computes, which is on cores of the machine that tests."""
    mine = os.sched_getaffinity(0)
    if not mine <= {0, 1, 2, 3}:
        pytest.skip("the trees have other cores")
    with on_board(tmp_path / "board", tree, tiny_package, tmp_path, engine__threads=0) as daemon:
        daemon.wait_ready()
        assert daemon.log.count(" board cores=") == 1
        assert f' board cores="{cores}" compute={ranges(mine)} threads={len(mine)}{more}\n' in daemon.log


@pytest.mark.parametrize(("soft_c", "batch"), [(60, 1), (70, 2)])
def test_heat_narrows_the_batch(tiny_package: Path, tmp_path: Path, soft_c: int, batch: int) -> None:
    """The hottest sensor of this board has 64.7 degrees; at 60 the second stream waits for the first, at 70 it does not."""
    settings = {"thermal__soft_c": soft_c, "scheduler__max_sequences": 2}
    with on_board(tmp_path / "rk", RK3588, tiny_package, tmp_path, **settings) as daemon:
        daemon.wait_ready()
        wait_until(lambda: board(daemon)["temperatures"])
        assert board(daemon)["max_sequences"] == (1 if batch == 1 else None)
        assert daemon.metric("youtu_edge_thermal_limited") == (batch == 1)
        streams = [Stream(daemon, chat(f"Question {number}", max_tokens=300, ignore_eos=True)) for number in range(4)]
        most, obstacles = 0.0, set[bytes]()
        while any(stream.is_alive() for stream in streams):
            obstacles.add(daemon.get("/readyz")[1])
            most = max(most, daemon.metric("youtu_edge_sequences_running"))
        assert [stream.error for stream in streams] == [""] * 4
        assert most == batch
        hot = {text for text in obstacles if re.match(rb"the board is hot, 64\.7 \S+C, and busy with [1-4] ", text)}
        assert bool(hot) == (batch == 1), obstacles
        assert daemon.get("/readyz") == (200, b"ready\n"), "without requests it takes one, however hot it is"
        assert ("thermal hottest_c=64.7" in daemon.log.replace("64.700", "64.7")) == (batch == 1)
