"""Fixtures and hooks for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from made_once import made_once

# A test asserts no timing, hypothesis' own deadline included: the machine may be busy.
settings.register_profile("youtu-edge", deadline=None)
settings.load_profile("youtu-edge")


_CORES = os.sched_getaffinity(0)


@pytest.fixture(autouse=True)
def all_cores() -> None:
    """Restore the CPU affinity: an engine in this process may have narrowed it, and children inherit that."""
    if os.sched_getaffinity(0) != _CORES:
        os.sched_setaffinity(0, _CORES)


class FailuresAtOnce:
    """Prints a failure when it happens: a run killed at its time limit never reaches pytest's own report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called in the process that prints, for every phase of every test."""
        if report.failed:
            terminal = self._config.get_terminal_writer()
            terminal.line()
            terminal.line(f"FAILED {report.nodeid} ({report.when}, after {report.duration:.0f} s)", red=True)
            terminal.line(report.longreprtext)
            terminal.flush()


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))


@pytest.fixture(scope="session")
def smollm2_q4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M with the integer codes of its GGUF; exported once for all tests."""
    from smollm2 import export_smollm2  # the exporter and its libraries are for those who need them

    return export_smollm2("q4", tmp_path_factory)


@pytest.fixture(scope="session")
def nano_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """youtu-nano, a small trained model of the Youtu family, as Hugging Face would have it; unpacked once for all tests."""
    from reference_data import unpack_youtu_nano

    return made_once(tmp_path_factory, "youtu-nano", unpack_youtu_nano)
