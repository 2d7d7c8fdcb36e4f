"""Everything fails at random moments, and nobody is told anything wrong."""

from __future__ import annotations

from chaos.conftest import Chaos


def test_five_minutes_of_random_faults_lose_nothing_and_repeat_nothing(chaos: Chaos) -> None:
    """Kills, stops, a full disk, a corrupted cache, jumping clocks, slow and vanishing clients: see chaos.run."""
    code, output = chaos.result()
    print(output)
    assert code == 0, output
