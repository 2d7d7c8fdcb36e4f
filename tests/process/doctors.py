"""Runs the doctor as a technician does, and selects its findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

CHECKS = (
    *("libraries", "processor", "board", "gpu", "clock", "configuration"),
    *("memory", "model", "disk", "permissions", "port", "service"),
)


class Diagnosis(NamedTuple):
    code: int
    level: str
    findings: list[dict[str, str]]

    def messages(self, check: str, level: str) -> list[str]:
        """Messages of one check at this level."""
        return [one["message"] for one in self.findings if (one["check"], one["level"]) == (check, level)]

    @property
    def failed(self) -> set[str]:
        """Checks that found an error."""
        return {one["check"] for one in self.findings if one["level"] == "fail"}

    def sickness(self, check: str, level: str = "fail") -> str:
        """The only message at this level, which must be from this check."""
        found = [one for one in self.findings if one["level"] == "fail" or (one["level"], one["check"]) == (level, check)]
        assert [(one["check"], one["level"]) for one in found] == [(check, level)], self.findings
        assert self.code == (level == "fail")
        return found[0]["message"]


def settings_of(package: Path, home: Path) -> dict[str, object]:
    """Of a healthy installation below `home`, on a port that is picked at the start."""
    (home / "data").mkdir(exist_ok=True)
    return {
        "model.path": package,
        "service.port": 0,
        "service.keys_file": home / "keys.json",
        "storage.directory": home / "data",
        "memory.limit": "1G",
    }


def diagnose(
    settings: Mapping[str, object],
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Diagnosis:
    """Run it with these keys; `before` is called in its process."""
    values = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "youtu_edge", "doctor", "--json", *arguments, *values],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        preexec_fn=before,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    return Diagnosis(done.returncode, document["level"], document["findings"])
