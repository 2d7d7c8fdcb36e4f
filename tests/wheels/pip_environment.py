"""youtu-edge as pip installs it from a wheelhouse, below a directory that stands for a device's file system."""

from __future__ import annotations

import subprocess
from pathlib import Path

SERVICE_PYTHON = "/usr/bin/python3"
_VARIABLES = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""Nothing of the checkout, and nothing of this machine's pip."""


class PipEnvironment:
    """`root` is the device's /, and the package lies in /opt/appliance there."""

    def __init__(self, root: Path, wheelhouse: Path) -> None:
        self.root, self.directory = root, root / "opt" / "appliance"
        subprocess.run([SERVICE_PYTHON, "-m", "venv", self.directory], check=True)
        command = [self.directory / "bin" / "pip", "--isolated", "--disable-pip-version-check", "--quiet", "install"]
        options = ["--no-index", "--no-compile", "--find-links", wheelhouse]
        subprocess.run([*command, *options, "youtu-edge"], check=True, cwd=root, env=_VARIABLES)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command `youtu-edge`."""
        command = [self.directory / "bin" / "youtu-edge", *arguments]
        done = subprocess.run(command, cwd=self.root, env=_VARIABLES, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def python(self, source: str) -> str:
        """The output of a program run by the environment's Python."""
        command = [self.directory / "bin" / "python", "-I", "-c", source]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout.strip()
