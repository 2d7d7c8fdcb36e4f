"""The libraries of the page: pinned by their hashes, copied at build, none of them in the repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / "web/copy_libraries.py"


def test_every_package_is_pinned_by_its_hash_and_by_no_address() -> None:
    """Versions are exact; npm's own configuration says where packages come from."""
    wanted = json.loads((ROOT / "web/package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "web/package-lock.json").read_text())["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    packages = {name.removeprefix("node_modules/"): entry for name, entry in locked.items() if name}
    assert {name: entry["version"] for name, entry in packages.items()} == wanted
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "resolved" not in json.dumps(locked)


def test_the_page_knows_the_languages_that_are_copied() -> None:
    """code.js loads what web/copy_libraries.py copies."""
    copied = set(
        re.findall(r'"([a-z]+)"', re.findall(r"^LANGUAGES = \(.*?^\)", COPY.read_text(), re.MULTILINE | re.DOTALL)[0])
    )
    script = (ROOT / "daemon/youtu_edge/front/static/code.js").read_text()
    loaded = set(re.findall(r'"([a-z]+)"', re.findall(r"const LANGUAGES = new Set\((.*?)\);", script, re.DOTALL)[0]))
    assert copied == loaded != set()


def test_a_build_without_npm_warns_and_a_release_fails(tmp_path: Path) -> None:
    """One line that says what is missing and how to get it; the directory is there either way."""
    environment = {**os.environ, "PATH": str(tmp_path)}
    for arguments, code, kind in (([], 0, "warning"), (["--required"], 1, "error")):
        done = subprocess.run(
            [sys.executable, COPY, *arguments, tmp_path / "out"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert done.stderr.startswith(kind)
        assert done.stderr.endswith("npm is not installed; on Debian and Ubuntu: apt-get install npm\n")
        assert (tmp_path / "out").is_dir()
