"""Both wheels, a wheelhouse, and an environment with only what pip installed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from wheelhouse import ROOT, make_wheelhouse, run_script
from wheels.pip_environment import SERVICE_PYTHON, PipEnvironment


@pytest.fixture(scope="session")
def wheels() -> list[Path]:
    """What scripts/build-wheels makes, for both processors."""
    if not shutil.which("aarch64-linux-gnu-g++") and (os.geteuid() != 0 or not shutil.which("apt-get")):
        pytest.skip("aarch64-linux-gnu-g++ is not installed")
    made = run_script("build-wheels")
    assert made.returncode == 0, made.stdout + made.stderr
    return [ROOT / line for line in made.stdout.splitlines() if line.endswith(".whl")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> PipEnvironment:
    """A fresh virtual environment, made without a network, a compiler or a checkout."""
    is_good = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    if not shutil.which(SERVICE_PYTHON) or subprocess.run([SERVICE_PYTHON, "-c", is_good], check=False).returncode != 0:
        pytest.skip(f"{SERVICE_PYTHON} is not Python 3.11 or newer, or has no venv module")
    return PipEnvironment(tmp_path_factory.mktemp("device"), make_wheelhouse(platform.machine()))
