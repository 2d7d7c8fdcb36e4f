"""The closed loop of the calibration: what is asked of the real boards and of the simulated ones."""

from __future__ import annotations

import random
from typing import NamedTuple

CLIENTS, REQUESTS = 24, 30
"""Requests of each client."""


class Turn(NamedTuple):
    """A pause in seconds, then a prompt of so many characters and an answer of so many tokens."""

    pause_s: float
    prompt: int
    answer: int


def turns(seed: int) -> list[list[Turn]]:
    """Of every client, one after the other."""
    chance = random.Random(seed)
    return [
        [
            Turn(chance.expovariate(1 / 0.4), chance.randint(40, 1500), min(240, 4 + round(chance.expovariate(1 / 36))))
            for _ in range(REQUESTS)
        ]
        for _ in range(CLIENTS)
    ]
