"""What a run shows: latencies, prefix hits, what was sent again and what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fleet_simulation.board import Outcome, Request


class Figures:
    """Times in seconds."""

    def __init__(self) -> None:
        self.first_token_s: list[float] = []
        self.whole_s: list[float] = []
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.answer_tokens = 0
        self.cut = 0
        """Answers that ended with their board."""
        self.again: Counter[str] = Counter()
        """Requests that were sent to another board, by the reason."""
        self.rejected = 0
        """Times that a client was told to come back."""
        self.failed = 0
        """Requests whose client gave up."""
        self.deaths = 0
        self.duration_s = 0.0
        self.busy: list[float] = []

    def ended(self, request: Request, outcome: Outcome, begun_at: float, now: float, overhead_s: float) -> None:
        """A request that had at least its first token."""
        self.first_token_s.append(request.first_token_at - begun_at + overhead_s)
        self.prompt_tokens += request.prompt
        self.cached_tokens += request.cached
        if outcome == "cut":
            self.cut += 1
            return
        self.whole_s.append(now - begun_at + overhead_s)
        self.answer_tokens += request.answer

    def retried(self, outcome: Outcome) -> None:
        """It goes on to another board."""
        self.again[outcome] += 1

    @property
    def requests(self) -> int:
        """All that ended."""
        return len(self.first_token_s) + self.failed

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that were cached."""
        return self.cached_tokens / max(1, self.prompt_tokens)

    def summary(self) -> dict[str, float]:
        """The figures of tables and pictures."""
        return {
            "requests": self.requests,
            "requests_per_s": self.requests / self.duration_s,
            "first_p50_s": quantile(self.first_token_s, 0.5),
            "first_p95_s": quantile(self.first_token_s, 0.95),
            "first_p99_s": quantile(self.first_token_s, 0.99),
            "whole_p50_s": quantile(self.whole_s, 0.5),
            "whole_p95_s": quantile(self.whole_s, 0.95),
            "hit_rate": self.hit_rate,
            "again": self.again.total(),
            "cut": self.cut,
            "rejected": self.rejected,
            "failed": self.failed,
            "busy_mean": sum(self.busy) / max(1, len(self.busy)),
            "busy_most": max(self.busy, default=0.0),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0 if there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
