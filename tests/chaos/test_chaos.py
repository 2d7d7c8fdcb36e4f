"""Everything fails at random moments, and nobody is told anything wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 300
ROOT = Path(__file__).resolve().parents[2]


def test_five_minutes_of_random_faults_lose_nothing_and_repeat_nothing() -> None:
    """Kills, stops, a full disk, a corrupted cache, jumping clocks, slow and vanishing clients: see chaos.run."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("daemon", "export", "tests"))
    done = subprocess.run(
        [sys.executable, "-m", "chaos.run", "--seconds", str(SECONDS)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=SECONDS + 500,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
