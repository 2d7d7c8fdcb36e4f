"""A wheelhouse of this checkout, and a booted machine to install it in; made only if a test needs them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd.machine import Machine, why_not
from tiny_model import make_tiny_package
from wheelhouse import make_wheelhouse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """For this machine's own Python, from the wheel that boards get too."""
    if reason := why_not():
        pytest.skip(reason)
    try:
        return make_wheelhouse(platform.machine())
    except AssertionError as error:
        if "no Python 3.11 or newer with the venv module" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def machine(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine that sees the checkout as /checkout and the wheels as /wheelhouse."""
    with Machine(tmp_path_factory.mktemp("machine"), {ROOT: "/checkout", wheelhouse: "/wheelhouse"}) as booted:
        yield booted


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose longest answer takes a few seconds."""
    return make_tiny_package(tmp_path_factory.mktemp("tiny") / "package", recipe="q4", context_length=8192)
