"""The simulation of what measurement.py measured on three boards, from the costs that it measured on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from fleet_simulation.board import Costs, Request
from fleet_simulation.simulation import Fleet, Simulation
from fleet_simulation.turns import turns

MEASURED = Path(__file__).with_name("measured.json")
_WHOLE_PROMPT_S = 1e9
"""The scripted engine computes prompts in one step, and it has no cache and no limit of its batch."""
_NO_LIMIT = 1000


class Compared(NamedTuple):
    """One figure of three boards."""

    name: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return self.simulated / self.measured - 1


def compare(measured: dict[str, Any] | None = None) -> list[Compared]:
    """Every figure that was measured; without an argument, those that are recorded in MEASURED."""
    if measured is None:
        measured = json.loads(MEASURED.read_text("utf-8"))
    costs = Costs(
        **measured["one_board"], stall_s=_WHOLE_PROMPT_S, max_sequences=_NO_LIMIT, max_queue=_NO_LIMIT, cache_tokens=0
    )
    clients = [
        [(turn.pause_s, Request(number, turn.prompt, 0, turn.answer)) for turn in mine]
        for number, mine in enumerate(turns(measured["seed"]))
    ]
    fleet = Fleet(boards=3, costs=costs, policy="least connections")
    found = Simulation(fleet, measured["seed"]).closed_loop(clients).summary()
    return [Compared(name, value, found[name]) for name, value in measured["three_boards"].items()]
