"""Wheels of this checkout, kept in build/ and dist/ until a source changes; the processes of a test run share them."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_script(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this checkout that makes wheels; one at a time, as they share their directories."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "wheelhouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run([ROOT / "scripts" / command[0], *command[1:]], capture_output=True, text=True, check=False)


def make_wheelhouse(platform: str, *options: str) -> Path:
    """What scripts/make_wheelhouse makes for a device with this processor and, without options, this machine's Python."""
    directory = ROOT / "build" / f"wheelhouse-{platform}"
    made = run_script("make_wheelhouse", "--platform", platform, *options, str(directory))
    assert made.returncode == 0, made.stdout + made.stderr
    return directory
