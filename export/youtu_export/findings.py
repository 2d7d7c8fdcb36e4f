"""What was decided about a checkpoint, in words for the person who exports it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """`notes` say what was taken and from where, `warnings` where something is odd; one line each."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
