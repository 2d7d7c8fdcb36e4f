"""Temperature, clocks and power mode."""

from __future__ import annotations

from collections.abc import Iterator

from youtu_edge.cores import read_processor
from youtu_edge.doctor.finding import Finding, ok, warn
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.front.machine.board_readings import Board, BoardState

_OWN_GOVERNORS = ("intel_pstate", "amd-pstate", "amd-pstate-epp")
"""Drivers whose "powersave" does not mean the lowest clock: the processor itself chooses."""


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """One reading; intermittent throttling is in the daemon's log."""
    files = surroundings.files
    state, offline = Board(files).read(), read_processor(files).num_offline
    yield ok(_described(state) or "no sensor or clock was found, as in a virtual machine")
    if state.throttled:
        yield warn("the board is throttled by heat, under-voltage or over-current; check its fan and power supply")
    soft_c, hottest = surroundings.config.thermal.soft_c, state.hottest_c
    if soft_c and hottest is not None and hottest >= soft_c:
        yield warn(f"{hottest:.0f} degrees is at or above thermal.soft_c {soft_c:g}: the batch is reduced; cool the board")
    if offline and state.power_mode:
        yield warn(
            f"the power mode {state.power_mode} switches {offline} cores off; `sudo nvpmodel -p --verbose` lists the "
            "modes, `sudo nvpmodel -m N` selects one; then restart youtu-edge"
        )
    elif offline:
        yield warn(f"{offline} cores are offline; write 1 to /sys/devices/system/cpu/cpuN/online, and restart youtu-edge")
    driver = files.text("sys/devices/system/cpu/cpufreq/policy0/scaling_driver")
    if state.governor and "powersave" in state.governor.split("+") and driver not in _OWN_GOVERNORS:
        yield warn(
            "the governor powersave pins the lowest clock; write schedutil to "
            "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
        )


def _described(state: BoardState) -> str:
    parts = []
    if state.power_mode:
        parts.append(f"power mode {state.power_mode}")
    if state.frequency_mhz and state.frequency_limit_mhz:
        parts.append(
            f"{state.frequency_mhz} of at most {state.frequency_limit_mhz} MHz ({state.governor or 'no governor'})"
        )
    if state.hottest_c is not None:
        parts.append(f"hottest sensor {state.hottest_c:g} degrees")
    return ", ".join(parts)
