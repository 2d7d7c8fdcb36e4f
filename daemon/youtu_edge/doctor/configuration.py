"""Keys and certificates that the configuration names. Memory, model and port are examined separately."""

from __future__ import annotations

from collections.abc import Iterator

from youtu_edge.doctor.finding import Finding, fail, ok
from youtu_edge.doctor.missing import missing_here
from youtu_edge.doctor.surroundings import Surroundings

_ELSEWHERE = ("model.path", "service.host")


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """The file itself has already been read."""
    file = surroundings.config_file
    problems = [message for key, message in missing_here(surroundings.config) if key not in _ELSEWHERE]
    for message in problems:
        yield fail(message)
    if not problems:
        yield ok(f"{file}" if file else "no configuration file: every key has its default")
