"""The libraries of the page: pinned by their hashes, copied at build, none of them in the repository."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPY = ROOT / "web/copy_libraries.py"
PINS = ("package.json", "package-lock.json", "copy_libraries.py")


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


def install(checkout: Path) -> Path:
    """The libraries of an editable installation, as npm's packages gave them."""
    packages, libraries = checkout / "node_modules", checkout / "daemon/youtu_edge/front/libraries"
    program = runpy.run_path(str(checkout / "web/copy_libraries.py"))
    for source in (*program["FILES"].values(), *program["LICENSES"].values()):
        (packages / source).parent.mkdir(parents=True, exist_ok=True)
        (packages / source).write_text(f"// {source}")
    program["copy"](packages, libraries)
    return libraries


def test_a_build_without_npm_warns_and_a_release_fails(checkout: Path) -> None:
    """One line that says what is missing and how to get it; the directory is there either way."""
    reason = "npm is not installed; on Debian and Ubuntu: apt-get install npm\n"
    warning = f"warning: the page is built without coloured code, formulas and QR codes: {reason}"
    assert copy(checkout) == (0, warning)
    assert list((checkout / "built").iterdir()) == []
    assert copy(checkout, "--required") == (1, f"error: {reason}")
    assert (checkout / "built").is_dir()


def test_an_installed_checkout_builds_without_npm(checkout: Path) -> None:
    """Also where the libraries are required, and in place of an older copy."""
    libraries = install(checkout)
    (checkout / "built").mkdir()
    (checkout / "built/old.js").write_text("")
    assert copy(checkout, "--required") == (0, "")
    built = {path.name: path.read_bytes() for path in (checkout / "built").iterdir()}
    assert built == {path.name: path.read_bytes() for path in libraries.iterdir()} != {}
    shutil.rmtree(libraries)
    assert copy(checkout, "--required") == (0, "")  # what is built is not built again


def missing(libraries: Path) -> None:
    (libraries / "temml.js").unlink()


def cut_short(libraries: Path) -> None:
    with (libraries / "temml.js").open("r+") as file:
        file.truncate(5)


def other_versions(libraries: Path) -> None:
    with (libraries.parents[3] / "web/package-lock.json").open("a") as file:
        file.write("\n")


def test_a_directory_that_cannot_be_written_is_named_in_one_line(checkout: Path) -> None:
    """As on a full disk, whether npm is missing or the libraries are installed."""
    (checkout / "built").write_text("a file")
    said = f"error: the page's libraries cannot be written to {checkout / 'built'}: File exists\n"
    code, warned = copy(checkout)
    assert (code, warned.splitlines(keepends=True)[-1]) == (1, said)
    install(checkout)
    assert copy(checkout) == (1, said)


@pytest.mark.parametrize("spoil", [missing, cut_short, other_versions])
def test_an_installation_that_is_not_what_a_build_would_fetch_is_not_used(
    spoil: Callable[[Path], None], checkout: Path
) -> None:
    """It was interrupted, or the pins have changed since."""
    spoil(install(checkout))
    code, said = copy(checkout)
    assert (code, list((checkout / "built").iterdir())) == (0, [])
    assert said.startswith("warning: ")
