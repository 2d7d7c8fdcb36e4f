"""`./scripts/quickstart` in this very checkout: what the README begins with."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from smollm2 import GGUF

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "quickstart"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, check=False
    )


def quickstart(*words: str) -> str:
    ran = run(SCRIPT, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_quickstart_answers_starts_nothing_twice_and_stops() -> None:
    if not GGUF.exists():
        pytest.skip(f"models/{GGUF.name} is not there; ./scripts/quickstart fetches it")
    if run("bash", "-c", ". scripts/lib.sh && venv_is_current export").returncode:
        pytest.skip("this is not the environment that ./scripts/test prepares; it would be installed anew meanwhile")
    if (ROOT / ".run" / "daemon.pid").exists():
        pytest.skip("a daemon of ./scripts/quickstart runs in this checkout")
    try:
        first = quickstart("Say hello.")
        url = re.search(r"The daemon is running at (\S+) ", first)
        assert url, first
        assert "== Say hello.\n" in first
        assert len(first.partition("== Say hello.\n")[2].splitlines()[0].strip()) > 0
        with urllib.request.urlopen(f"{url[1]}/readyz", timeout=20) as ready:
            assert ready.status == 200
        again = quickstart("Say hello.")
        assert f"The daemon is running at {url[1]} " in again
        assert "starting the daemon" not in again
        assert "exporting" not in again
    finally:
        stopped = quickstart("--stop")
    assert "stopped" in stopped
    assert "not running" in quickstart("--stop")
