"""All examinations, in the order of their dependencies. A failing one does not stop the next."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import NamedTuple

from youtu_edge.doctor.finding import Finding, fail
from youtu_edge.doctor.surroundings import Surroundings
from youtu_edge.errors import one_line


class _Examination(NamedTuple):
    module: str
    needs_config: bool


_EXAMINATIONS = (
    _Examination("libraries", False),
    _Examination("processor", True),
    _Examination("board", True),
    _Examination("gpu", False),
    _Examination("clock", True),
    _Examination("configuration", True),
    _Examination("memory", True),
    _Examination("model", True),
    _Examination("disk", True),
    _Examination("permissions", True),
    _Examination("port", True),
    _Examination("service", False),
)


def examine(surroundings: Surroundings, config_error: str = "") -> Iterator[tuple[str, Finding]]:
    """Each examination and its finding, as it is found.

    config_error: why the configuration cannot be read, one line per problem.
    """
    for problem in config_error.splitlines():
        yield "configuration", fail(f"{one_line(problem)}; nothing that depends on it was examined")
    for module, needs_config in _EXAMINATIONS:
        if needs_config and config_error:
            continue
        for finding in _findings(module, surroundings):
            yield module, Finding(finding.level, one_line(finding.message))


def _findings(module: str, surroundings: Surroundings) -> list[Finding]:
    try:
        found: list[Finding] = list(importlib.import_module(f"youtu_edge.doctor.{module}").examine(surroundings))
    except ImportError as error:
        return [fail(f"{error}: this installation is incomplete; install youtu-edge again")]
    except Exception as error:
        return [fail(f"this examination failed: {type(error).__name__}: {error}; please report it")]
    return found
