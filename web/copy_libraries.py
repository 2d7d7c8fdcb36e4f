#!/usr/bin/env python3
"""Copy the libraries of the page into a directory: `copy_libraries.py [--required] DIRECTORY`.

npm fetches the packages that package-lock.json pins, by their hashes, into a temporary directory; nothing of them runs.
What the page uses is copied, with the licences in LICENSES.txt. Wheels and images of a checkout that is installed have the
copy of that installation, and need no npm. Without all of these the page is complete but for coloured code, typeset
formulas and QR codes: a warning, or with --required an error. Standard library only: CMake runs it at build.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parent / "daemon/youtu_edge/front/libraries"
"""Of an editable installation of this checkout."""
PINS = ("package.json", "package-lock.json")
LANGUAGES = (
    *("bash", "c", "cpp", "csharp", "css", "diff", "go", "ini", "java", "javascript", "json", "kotlin", "lua", "makefile"),
    *("markdown", "php", "python", "ruby", "rust", "sql", "swift", "typescript", "xml", "yaml"),
)
"""As in code.js of the page."""
FILES = {
    "highlight.js": "@highlightjs/cdn-assets/es/core.min.js",
    **{f"highlight-{name}.js": f"@highlightjs/cdn-assets/es/languages/{name}.min.js" for name in LANGUAGES},
    "lean-qr.js": "lean-qr/index.mjs",
    "temml.js": "temml/dist/temml.min.js",
    "temml.css": "temml/dist/Temml-Local.css",
    "Temml.woff2": "temml/dist/Temml.woff2",
}
LICENSES = {"highlight.js": "@highlightjs/cdn-assets/LICENSE", "Lean QR": "lean-qr/LICENSE", "Temml": "temml/LICENSE"}
NPM = (
    *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
    *("--fetch-retries=1", "--fetch-timeout=30000"),
)
TIMEOUT_S = 180


class UnavailableError(Exception):
    """The packages cannot be fetched."""


def pinned() -> str:
    """Identifies what is copied: the pins, and this program."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in (*PINS, Path(__file__).name))).hexdigest()


def stamp(directory: Path) -> str:
    """Identifies what was copied and the bytes that are there: an installation that was interrupted has other ones."""
    found = hashlib.sha256()
    for name in (*FILES, "LICENSES.txt"):
        found.update((directory / name).read_bytes())
    return f"{pinned()} {found.hexdigest()}"


def is_current(directory: Path) -> bool:
    """Whether it has, whole, what would be copied now."""
    try:
        return (directory / ".pinned").read_text(encoding="utf-8") == stamp(directory)
    except (FileNotFoundError, NotADirectoryError):
        return False


def fetch(directory: Path) -> Path:
    """The packages below `directory`. Raises UnavailableError."""
    if shutil.which("npm") is None:
        raise UnavailableError("npm is not installed; on Debian and Ubuntu: apt-get install npm")
    for name in PINS:
        shutil.copy(HERE / name, directory)
    try:
        subprocess.run(NPM, cwd=directory, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm ci did not end within {TIMEOUT_S} s; is the network down?") from None
    except subprocess.CalledProcessError as error:
        reason = next((line for line in error.stderr.splitlines() if line.strip()), "no reason given")
        raise UnavailableError(f"npm ci failed: {reason}") from None
    return directory / "node_modules"


def copy(packages: Path, target: Path) -> None:
    """Replace `target` by what the page uses of the packages."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copyfile(packages / source, target / name)
    licenses = (f"{name}\n\n{(packages / path).read_text(encoding='utf-8')}" for name, path in LICENSES.items())
    (target / "LICENSES.txt").write_text("\n\n".join(licenses), encoding="utf-8")
    (target / ".pinned").write_text(stamp(target), encoding="utf-8")


def build(target: Path) -> None:
    """Make `target` what it should be. Raises UnavailableError, and OSError where it cannot be written."""
    if is_current(target):
        return
    if is_current(INSTALLED):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in (*FILES, "LICENSES.txt", ".pinned"):
            shutil.copyfile(INSTALLED / name, target / name)
        return
    with tempfile.TemporaryDirectory() as directory:
        copy(fetch(Path(directory)), target)


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    is_required = "--required" in arguments
    (target,) = (Path(argument) for argument in arguments if argument != "--required")
    try:
        try:
            build(target)
        except UnavailableError as error:
            kind = "error" if is_required else "warning: the page is built without coloured code, formulas and QR codes"
            print(f"{kind}: {error}", file=sys.stderr)
            target.mkdir(parents=True, exist_ok=True)
            return int(is_required)
    except OSError as error:
        print(f"error: the page's libraries cannot be written to {target}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
