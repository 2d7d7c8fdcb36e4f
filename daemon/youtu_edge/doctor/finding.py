"""What an examination says: one line, whether it is a problem, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
_WORST_FIRST: tuple[Level, ...] = ("fail", "warn", "ok")


@dataclass(frozen=True)
class Finding:
    """`message` of anything but "ok" ends with what to do."""

    level: Level
    message: str


def ok(message: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", message)


def warn(message: str) -> Finding:
    """The daemon runs, but with less than it could have, or at risk."""
    return Finding("warn", message)


def fail(message: str) -> Finding:
    """The daemon does not run, or not as it is configured."""
    return Finding("fail", message)


def worst(findings: Iterable[Finding]) -> Level:
    """The most severe level."""
    levels = {finding.level for finding in findings}
    return next((level for level in _WORST_FIRST if level in levels), "ok")
