"""Everything fails at random moments, and no client receives a wrong answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from systemd.machine import why_not

ROOT = Path(__file__).resolve().parents[2]


def test_five_minutes_of_random_faults_lose_nothing_and_repeat_nothing() -> None:
    """Kills, stops, a full disk, a corrupted cache, jumping clocks, slow and vanishing clients: see chaos.run."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("daemon", "export", "tests"))
    command = [sys.executable, "-m", "chaos.run", "--seconds", "300", *([] if why_not() else ["--systemd"])]
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=800)
        finally:
            process.terminate()  # it takes down what it has started
    print(output)
    assert process.returncode == 0, output
