"""What was decided about a checkpoint, as lines for the person who exports it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """`notes` say what was used and from where, `warnings` what looks wrong; one line each."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
