#!/usr/bin/env python3
"""Check that one of our wheels is what its name says: `check_wheel.py WHEEL...`.

`youtu_edge-…-py3-none-manylinux_2_28_aarch64.whl` contains one shared library, for AArch64, that needs no glibc newer than
2.28 and no other libraries, and that exports only our own functions. Exit code 1 with a line for each problem.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import elf

OURS = ("RegisterCustomOps", "youtu_edge_ops_*")
NEEDED = ("libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-*.so.*")


def problems_of_library(library: Path, machine: str, newest: tuple[int, ...]) -> Iterator[str]:
    """Why it would not load, or not alone, on a `machine` whose glibc is `newest`.

    Raises CalledProcessError if it is not a library.
    """
    if elf.machine(library) != machine:
        yield f"is for {elf.machine(library)}, not for {machine}"
    for name in elf.needed_libraries(library):
        if not _is_one_of(name, NEEDED):
            yield f"needs {name}, which may be missing; link it statically"
    for symbol in elf.dynamic_symbols(library):
        if symbol.is_defined and symbol.binding != "LOCAL" and not _is_one_of(symbol.name, OURS):
            yield f"exports {symbol.name}, which is not ours; see scripts/wheel/exports.map"
        if not symbol.is_defined and symbol.version and (symbol.glibc is None or symbol.glibc > newest):
            needed = f"{symbol.name}@{symbol.version}"
            yield f"needs {needed}, newer than glibc {_dotted(newest)}; see scripts/wheel/glibc_view.py"


def problems_of_wheel(wheel: Path) -> Iterator[str]:
    """Where its contents differ from its name."""
    found = re.fullmatch(r"youtu_edge-[^-]+-(py3-none-manylinux_(\d+)_(\d+)_(x86_64|aarch64))\.whl", wheel.name)
    if not found:
        yield "is not named youtu_edge-VERSION-py3-none-manylinux_X_Y_PROCESSOR.whl"
        return
    tag, newest, machine = found[1], (int(found[2]), int(found[3])), found[4]
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as directory:
        names = archive.namelist()
        metadata = [name for name in names if name.endswith(".dist-info/WHEEL")]
        tags = re.findall(r"(?m)^Tag: (.+)$", archive.read(metadata[0]).decode()) if metadata else []
        if tags != [tag]:
            yield f"has the tag {', '.join(tags) or 'none'}, not {tag}"
        libraries = [name for name in names if re.search(r"\.so(\.|$)", name)]
        if libraries != ["youtu_edge/ops/libyoutu_edge_ops.so"]:
            yield f"has the libraries {', '.join(libraries) or '(none)'} instead of youtu_edge/ops/libyoutu_edge_ops.so"
        for name in libraries:
            path = Path(archive.extract(name, directory))
            yield from (f"{path.name} {problem}" for problem in problems_of_library(path, machine, newest))


def has_page_libraries(wheel: Path) -> bool:
    """Whether the page can colour code, typeset formulas and show QR codes: not if the wheel was built without npm."""
    with zipfile.ZipFile(wheel) as archive:
        return any(name.startswith("youtu_edge/front/libraries/") for name in archive.namelist())


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def main(wheels: list[str]) -> int:
    """Check each of them; returns the exit code."""
    failed = False
    for wheel in wheels:
        try:
            problems = list(problems_of_wheel(Path(wheel)))
            if not has_page_libraries(Path(wheel)):
                print(f"{wheel}: built without npm: the page shows code and formulas as plain text, and no QR codes")
        except (OSError, zipfile.BadZipFile, subprocess.CalledProcessError) as error:
            problems = [f"cannot be read: {error}"]
        for problem in problems:
            print(f"{wheel}: {problem}", file=sys.stderr)
        failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
