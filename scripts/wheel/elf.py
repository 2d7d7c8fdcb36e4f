"""Symbols and needed libraries of a shared library for any processor, from `readelf`."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Symbol:
    """A dynamic symbol: `FUNC GLOBAL pthread_create@GLIBC_2.34`."""

    name: str
    version: str
    """Such as GLIBC_2.34, GLIBC_PRIVATE; empty if it has none."""
    is_default: bool
    """Written @@: the version that a program linked today gets."""
    is_defined: bool
    kind: str
    """FUNC, OBJECT, IFUNC, TLS …"""
    size: int
    """Bytes."""
    binding: str
    """GLOBAL, WEAK, LOCAL."""

    @property
    def glibc(self) -> tuple[int, ...] | None:
        """(2, 34) for GLIBC_2.34; None for everything else, including GLIBC_PRIVATE."""
        found = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", self.version)
        return tuple(int(part) for part in found[1].split(".")) if found else None


def dynamic_symbols(library: Path) -> list[Symbol]:
    """All except the empty first one. Raises CalledProcessError if the file is not an ELF file."""
    symbols = []
    for line in _readelf("--dyn-syms", library).splitlines():
        #    Num: Value Size Type Bind Vis Ndx Name[@[@]VERSION [(index)]]
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit():
            continue
        name, at, version = fields[7].partition("@")
        symbols.append(
            Symbol(
                name,
                version.removeprefix("@"),
                at != "" and version.startswith("@"),
                fields[6] != "UND",
                fields[3],
                int(fields[2], 0),
                fields[4],
            )
        )
    return symbols


def needed_libraries(library: Path) -> list[str]:
    """Names of the shared libraries that it needs."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", _readelf("--dynamic", library))


def machine(library: Path) -> str:
    """The processor, named as in the platform tag of a wheel; readelf's name for one that we have no wheels for."""
    found = re.search(r"Machine: +(.+)", _readelf("--file-header", library))
    name = found[1].strip() if found else "unknown"
    return {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}.get(name, name)


def _readelf(option: str, library: Path) -> str:
    command = ["readelf", "--wide", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"}).stdout
