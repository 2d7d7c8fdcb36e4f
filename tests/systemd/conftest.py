"""A wheelhouse of this checkout, and a booted machine to install it in; made only if a test needs them."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd.machine import Machine, why_not
from tiny_model import make_tiny_package

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """What scripts/make_wheelhouse makes of this checkout; kept in build/ until a source changes."""
    if reason := why_not():
        pytest.skip(reason)
    directory = ROOT / "build" / "wheelhouse"
    directory.parent.mkdir(exist_ok=True)
    with (ROOT / "build" / "wheelhouse.lock").open("w") as lock:  # the processes of a test run share it
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run([ROOT / "scripts/make_wheelhouse", directory], capture_output=True, text=True, check=False)
    if made.returncode and "no Python 3.11 or newer with the venv module" in made.stderr:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stdout + made.stderr
    return directory


@pytest.fixture(scope="module")
def machine(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine that sees the checkout as /checkout and the wheels as /wheelhouse."""
    with Machine(tmp_path_factory.mktemp("machine"), {ROOT: "/checkout", wheelhouse: "/wheelhouse"}) as booted:
        yield booted


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose longest answer takes a few seconds."""
    return make_tiny_package(tmp_path_factory.mktemp("tiny") / "package", recipe="q4", context_length=8192)
