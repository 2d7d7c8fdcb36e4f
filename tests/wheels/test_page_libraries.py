"""The libraries of the page in a build: from npm, or from the checkout's own installation."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wheelhouse import ROOT

PINS = ("package.json", "package-lock.json", "copy_libraries.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What decides on the libraries, of a checkout that is not installed."""
    (tmp_path / "web").mkdir()
    for name in PINS:
        shutil.copy(ROOT / "web" / name, tmp_path / "web")
    return tmp_path


def copy(checkout: Path, *options: str) -> tuple[int, str]:
    """Exit code and message of a copy to `built` where there is no npm."""
    (checkout / "bin").mkdir(exist_ok=True)
    command = [sys.executable, checkout / "web/copy_libraries.py", *options, checkout / "built"]
    environment = os.environ | {"PATH": str(checkout / "bin")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def install(checkout: Path, pins: str) -> None:
    """Libraries of an editable installation, which were fetched by these pins."""
    libraries = checkout / "daemon/youtu_edge/front/libraries"
    libraries.mkdir(parents=True)
    (libraries / "temml.js").write_text("// formulas")
    (libraries / ".pinned").write_text(pins)


def test_an_installed_checkout_builds_without_npm(checkout: Path) -> None:
    """Also where the libraries are required, and in place of an older copy."""
    pins = b"".join((checkout / "web" / name).read_bytes() for name in PINS)
    install(checkout, hashlib.sha256(pins).hexdigest())
    (checkout / "built").mkdir()
    (checkout / "built/old.js").write_text("")
    assert copy(checkout, "--required") == (0, "")
    assert sorted(path.name for path in (checkout / "built").iterdir()) == [".pinned", "temml.js"]


def test_an_installation_of_other_versions_is_not_used(checkout: Path) -> None:
    """The page would get libraries that nobody has tried with it."""
    install(checkout, "0" * 64)
    code, said = copy(checkout)
    assert (code, list((checkout / "built").iterdir())) == (0, [])
    assert said.startswith("warning: the page is built without coloured code, formulas and QR codes: npm is not installed")
    code, said = copy(checkout, "--required")
    assert (code, said) == (1, "error: npm is not installed; on Debian and Ubuntu: apt-get install npm\n")
