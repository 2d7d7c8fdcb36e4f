"""scripts/fleet-sim: it agrees with what was measured on three real daemons, and with what can be computed by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from fleet_simulation.board import Costs, Request  # noqa: E402
from fleet_simulation.calibration import compare  # noqa: E402
from fleet_simulation.policies import NAMES, ConsistentHash  # noqa: E402
from fleet_simulation.simulation import Fleet, Simulation  # noqa: E402
from fleet_simulation.workload import CLASSROOM  # noqa: E402

COSTS = Costs(step_s=0.04, sequence_s=0.01, prompt_s=0.01, stall_s=10, max_sequences=4, page_tokens=10)
AFFINITY = NAMES[-1]


def classroom(boards: int, policy: str, **more: Any) -> dict[str, float]:
    simulation = Simulation(Fleet(boards, COSTS, policy, **more), seed=1, warm_up_s=100)
    return simulation.open_loop(CLASSROOM, 0.012 * boards, 1300).summary()


def together(*requests: Request, costs: Costs = COSTS) -> Any:
    """Figures of one board that gets all of them at once."""
    return Simulation(Fleet(1, costs, "round robin"), seed=1).closed_loop([[(0.0, request)] for request in requests])


def test_three_boards_are_within_15_percent_of_what_was_measured_behind_haproxy() -> None:
    """Throughput and latencies, from the costs that were measured on one of them."""
    rows = compare()
    assert {row.name for row in rows} == {"requests_per_s", "first_p50_s", "first_p95_s", "whole_p50_s", "whole_p95_s"}
    for row in rows:
        assert abs(row.error) <= 0.15, row


def test_a_request_alone_takes_its_prompt_and_a_step_for_each_token() -> None:
    figures = together(Request(conversation=1, prompt=100, shared=0, answer=21))
    assert figures.first_token_s == [pytest.approx(100 * 0.01 + 0.05)]
    assert figures.whole_s == [pytest.approx(100 * 0.01 + 21 * 0.05)]


def test_a_prompt_that_is_longer_than_a_chunk_takes_a_step_for_each() -> None:
    costs = Costs(step_s=0.04, sequence_s=0.01, prompt_s=0.01, stall_s=0.25)
    assert together(Request(1, 100, 0, 2), costs=costs).first_token_s == [pytest.approx(1.0 + 4 * 0.05)]


def test_sequences_share_the_steps_and_those_beyond_the_batch_wait() -> None:
    figures = together(*(Request(number, 1, 0, 11) for number in range(5)))
    first = 4 * 0.01 + 0.04 + 4 * 0.01
    assert figures.first_token_s[:4] == [pytest.approx(first, abs=0.1)] * 4
    assert figures.first_token_s[4] >= 10 * 0.08
    assert figures.answer_tokens == 55


def test_a_conversation_finds_its_pages_again_on_its_board_only() -> None:
    def hits(policy: str) -> list[int]:
        turns = [(1.0, Request(7, 100, 0, 20)), (1.0, Request(7, 140, 0, 20))]
        simulation = Simulation(Fleet(2, COSTS, policy), seed=1)
        simulation.closed_loop([turns])
        return [turn.cached for _, turn in turns]

    assert hits(AFFINITY) == [0, 120]
    assert hits("consistent hash") == [0, 120]
    assert hits("round robin") == [0, 0]


def test_pages_that_do_not_fit_are_lost_oldest_first() -> None:
    costs = Costs(step_s=0.04, sequence_s=0.01, prompt_s=0.01, cache_tokens=250, page_tokens=10)
    turns = [(1.0, Request(number, 100 + 20 * (index > 2), 0, 10)) for index, number in enumerate((1, 2, 3, 1, 3))]
    Simulation(Fleet(1, costs, "round robin"), seed=1).closed_loop([turns])
    assert [turn.cached for _, turn in turns] == [0, 0, 0, 0, 110]


@pytest.mark.parametrize("policy", NAMES)
def test_nothing_is_lost_while_no_board_dies(policy: str) -> None:
    figures = classroom(10, policy)
    assert figures["requests"] > 400
    assert [figures[name] for name in ("again", "cut", "rejected", "failed")] == [0, 0, 0, 0]
    assert classroom(10, policy) == figures, "the seed decides"


def test_affinity_keeps_prefix_hits_that_other_policies_lose_with_more_boards() -> None:
    alone, spread, kept = (classroom(*each)["hit_rate"] for each in ((1, AFFINITY), (10, NAMES[1]), (10, AFFINITY)))
    assert kept == pytest.approx(alone, rel=0.05)
    assert spread < 0.8 * kept


def test_a_board_that_dies_cuts_its_answers_and_its_other_requests_go_on_elsewhere() -> None:
    figures = classroom(10, AFFINITY, lifetime_s=600)
    assert figures["cut"] > 0
    assert figures["again"] > 0
    assert figures["failed"] == 0


def test_a_board_that_leaves_the_ring_moves_only_its_own_conversations() -> None:
    simulation = Simulation(Fleet(5, COSTS, "consistent hash"), seed=1)
    ring = ConsistentHash(simulation.boards)

    def owners() -> list[int]:
        return [board.number for n in range(300) if (board := ring.choose(Request(n, 1, 0, 1), ())) is not None]

    before = owners()
    simulation.boards[2].is_known_down = True
    after = owners()
    assert {owner for owner, other in zip(before, after, strict=True) if owner != other} == {2}
    assert 2 not in after
    assert min(before.count(number) for number in range(5)) > 30


def test_the_figures_and_pictures_of_the_document_are_those_of_the_simulation() -> None:
    """Its table is what the command prints without options."""
    text = (ROOT / "docs/fleet.md").read_text("utf-8")
    command = [sys.executable, str(ROOT / "scripts/fleet-sim"), "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for policy, figures in found.items():
        cells = [f"{figures['first_p50_s']:.2f}", f"{figures['first_p95_s']:.2f}", f"{100 * figures['hit_rate']:.0f} %"]
        cells.append(f"{100 * figures['busy_mean']:.0f} %")
        assert f"| {policy} | {' | '.join(cells)} |" in text
    pictures = re.findall(r"!\[[^]]+\]\((pictures/[\w-]+\.svg)\)", text)
    assert len(pictures) == 3
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size < 200_000
