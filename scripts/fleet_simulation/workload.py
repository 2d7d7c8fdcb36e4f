"""What clients ask: conversations, and the time that people take between turns."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """Lengths in tokens, times in seconds. Answers are exponentially distributed, turns geometrically."""

    name: str
    system: int
    """The system message, which all conversations begin with."""
    question: int
    answer: int
    turns: float
    think_s: float

    def question_tokens(self, chance: random.Random) -> int:
        """Between half and one and a half of the mean."""
        return max(1, round(self.question * (0.5 + chance.random())))

    def answer_tokens(self, chance: random.Random) -> int:
        """At least two, at most six times the mean."""
        return min(6 * self.answer, max(2, math.ceil(chance.expovariate(1 / self.answer))))

    def is_last(self, chance: random.Random) -> bool:
        """Whether a conversation ends with this turn."""
        return chance.random() < 1 / self.turns


CLASSROOM = Workload("classroom", system=200, question=40, answer=80, turns=6, think_s=20)
"""Tablets: short questions, answers of a paragraph, several turns."""
