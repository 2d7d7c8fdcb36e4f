"""The pictures and tables of docs/fleet.md: predicted RK3588 boards in a classroom, by the policies of balancers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from fleet_simulation.board import Costs
from fleet_simulation.policies import NAMES
from fleet_simulation.simulation import Fleet, Simulation
from fleet_simulation.workload import CLASSROOM
from matplotlib import pyplot

RK3588 = Costs(step_s=0.045, sequence_s=0.010, prompt_s=0.011, max_sequences=8)
"""Youtu-LLM-2B, q4-small, as docs/boards/performance.md predicts it: 18 tokens/s alone, 1.4 s for 128 tokens of prompt."""
PER_MINUTE = 0.9
"""Conversations that begin on each board."""
WARM_UP_S = 300.0
_SEED = 1
_STYLE = dict(zip(NAMES, (":C3", "--C1", "-.C2", "-C0"), strict=True))
Summary = dict[str, float]


def classroom(fleet: Fleet, per_minute: float, measured_s: float) -> Summary:
    """Figures of a fleet on each of whose boards so many conversations begin in a minute."""
    simulation = Simulation(fleet, _SEED, WARM_UP_S)
    return simulation.open_loop(CLASSROOM, per_minute / 60 * fleet.boards, WARM_UP_S + measured_s).summary()


def by_load(say: Callable[[str], None]) -> tuple[list[float], dict[str, list[Summary]]]:
    """30 boards, with more and more conversations."""
    loads = [0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1]
    return loads, _for_each(loads, lambda load, name: classroom(Fleet(30, RK3588, name), load, 1800), say)


def by_size(say: Callable[[str], None]) -> tuple[list[int], dict[str, list[Summary]]]:
    """From one board to ten thousand, with as many conversations on each."""
    sizes = [1, 3, 10, 30, 100, 1000, 10_000]

    def run(boards: int, name: str) -> Summary:
        return classroom(Fleet(boards, RK3588, name), PER_MINUTE, max(120.0, min(36_000.0, 60_000 / boards)))

    return sizes, _for_each(sizes, run, say)


def by_deaths(say: Callable[[str], None]) -> tuple[list[float], dict[str, list[Summary]]]:
    """30 boards that die now and then and are away for a minute; hours between two deaths of a board."""
    hours = [0.5, 1, 4, 24]

    def run(lifetime: float, name: str) -> Summary:
        return classroom(Fleet(30, RK3588, name, lifetime_s=3600 * lifetime), PER_MINUTE, 36_000)

    return hours, _for_each(hours, run, say, NAMES[1:])


def _for_each(
    values: Sequence[Any], run: Callable[[Any, str], Summary], say: Callable[[str], None], names: Sequence[str] = NAMES
) -> dict[str, list[Summary]]:
    found: dict[str, list[Summary]] = {name: [] for name in names}
    for name in names:
        for value in values:
            found[name].append(run(value, name))
            shown = ", ".join(f"{key} {number:.4g}" for key, number in found[name][-1].items())
            say(f"{name} at {value:g}: {shown}")
    return found


def draw(directory: Path, say: Callable[[str], None]) -> None:
    """Write the three pictures."""
    pyplot.rcParams.update({"svg.hashsalt": "fleet", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    loads, found = by_load(say)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.5, 3.2))
    _lines(left, loads, found, "first_p95_s", "conversations begun on a board in a minute", "first token, 95 %: s")
    left.set_yscale("log")
    _lines(
        right,
        loads,
        found,
        "busy_mean",
        "conversations begun on a board in a minute",
        "share of the time in use",
    )
    _save(figure, left, directory / "fleet-load.svg")
    sizes, found = by_size(say)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.5, 3.2))
    _lines(left, sizes, found, "first_p95_s", "boards", "first token, 95 %: s")
    _lines(right, sizes, found, "hit_rate", "boards", "prompt tokens from the cache")
    for axes in (left, right):
        axes.set_xscale("log")
    left.set_yscale("log")
    right.set_ylim(0, 1)
    _save(figure, left, directory / "fleet-size.svg")
    hours, found = by_deaths(say)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.5, 3.2))
    for axes, key, title in ((left, "again", "sent again"), (right, "cut", "answers cut")):
        shares = {name: [{key: 1000 * each[key] / each["requests"]} for each in rows] for name, rows in found.items()}
        _lines(axes, hours, shares, key, "hours between two deaths of a board", f"{title}, of 1,000 requests")
        axes.set_xscale("log")
        axes.set_xticks(hours, [f"{hour:g}" for hour in hours])
    _save(figure, left, directory / "fleet-deaths.svg")


def _lines(axes: Any, values: Sequence[float], found: dict[str, list[Summary]], key: str, x: str, y: str) -> None:
    for name, rows in found.items():
        axes.plot(values, [row[key] for row in rows], _STYLE[name], marker="o", markersize=3, label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _save(figure: Any, labelled: Any, path: Path) -> None:
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.legend(*labelled.get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
