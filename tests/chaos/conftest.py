"""Five minutes are long: chaos begins with the first test of a run and is judged after the last."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from systemd.machine import why_not

SECONDS = 300
ROOT = Path(__file__).resolve().parents[2]
RUNNING = pytest.StashKey["Chaos"]()


class Chaos:
    """One run of chaos.run beside the other tests, under a real systemd where one can be booted."""

    def __init__(self) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by stop)
        paths = os.pathsep.join(str(ROOT / name) for name in ("daemon", "export", "tests"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.run", "--seconds", str(SECONDS), *([] if why_not() else ["--systemd"])],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def result(self) -> tuple[int, str]:
        """Exit code and output, when it has ended."""
        code = self._process.wait(SECONDS + 500)
        self._output.seek(0)
        return code, self._output.read()

    def stop(self) -> None:
        """Leave nothing behind when nobody asks for the result."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        self._output.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "chaos" in item.fixturenames if isinstance(item, pytest.Function) else False)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(isinstance(item, pytest.Function) and "chaos" in item.fixturenames for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.config.stash[RUNNING] = Chaos()


def pytest_unconfigure(config: pytest.Config) -> None:
    if chaos := config.stash.get(RUNNING, None):
        chaos.stop()


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Chaos:
    """The run that began with the first test."""
    return request.config.stash[RUNNING]
