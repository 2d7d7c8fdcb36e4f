#!/usr/bin/env python3
"""Make a directory that, as `-L DIR`, limits the linker to the symbols of an older glibc.

    glibc_view.py COMPILER VERSION DIR

A library that is linked on Debian 12 needs the newest version of each symbol, GLIBC_2.34 for pthread_create, and does not
load on older systems. glibc keeps every older version of a symbol, so the view has stub libraries: the same names without
code, each symbol in the newest version that is not newer than VERSION, in the library that had it then. Symbols that glibc
did not have are missing, so that linking fails and names them; the few that GCC's own static libraries need are in
later_symbols.cc.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import elf

# Before 2.34 threads were in a separate library; today's libc.so.6 has their old versions as well.
THREADS = ("pthread_", "__pthread_", "sem_")
LATER = Path(__file__).resolve().parent / "later_symbols.cc"


def make_view(compiler: list[str], newest: tuple[int, ...], directory: Path) -> None:
    """`compiler`: GCC's C++ compiler for the target processor. Raises CalledProcessError."""
    libc = elf.dynamic_symbols(_installed(compiler, "libc.so.6"))
    libm = elf.dynamic_symbols(_installed(compiler, "libm.so.6"))
    kept: dict[str, list[elf.Symbol]] = {"libc.so.6": [], "libpthread.so.0": [], "libm.so.6": _as_of(libm, newest)}
    moved = {symbol.name for symbol in libc if symbol.is_default and symbol.glibc and symbol.glibc > newest}
    for symbol in _as_of(libc, newest):
        is_of_threads = symbol.name in moved and symbol.name.startswith(THREADS)
        kept["libpthread.so.0" if is_of_threads else "libc.so.6"].append(symbol)
    directory.mkdir(parents=True, exist_ok=True)
    for name, symbols in kept.items():
        _make_stub(compiler, directory / name, symbols)
    later = directory / "later_symbols.o"
    subprocess.run([*compiler, "-O2", "-fPIC", "-fvisibility=hidden", "-c", str(LATER), "-o", str(later)], check=True)
    # -lc and -lm find these first. libc_nonshared.a and the loader are the installed ones.
    nonshared, loader = _installed(compiler, "libc_nonshared.a"), _loader(compiler)
    parts = [directory / "libc.so.6", nonshared, later]
    as_needed = f"AS_NEEDED ( {directory / 'libpthread.so.0'} {loader} )"
    (directory / "libc.so").write_text(f"GROUP ( {' '.join(map(str, parts))} {as_needed} )\n")
    (directory / "libm.so").write_text(f"GROUP ( {directory / 'libm.so.6'} )\n")


def _as_of(symbols: list[elf.Symbol], newest: tuple[int, ...]) -> list[elf.Symbol]:
    """For each name, the newest version that is not newer than `newest`."""
    versions = defaultdict(list)
    for symbol in symbols:
        if symbol.is_defined and symbol.glibc and symbol.glibc <= newest:
            versions[symbol.name].append(symbol)
    return [max(found, key=lambda symbol: symbol.glibc or ()) for _, found in sorted(versions.items())]


def _make_stub(compiler: list[str], path: Path, symbols: list[elf.Symbol]) -> None:
    """A shared library without code, with these symbols in these versions."""
    lines, versions = [], sorted({symbol.version for symbol in symbols})
    for index, symbol in enumerate(symbols):
        kind = {"OBJECT": "object", "TLS": "tls_object"}.get(symbol.kind, "function")
        section = {"object": ".bss", "tls_object": '.section .tbss,"awT",%nobits'}.get(kind, ".text")
        lines += [
            section,
            f".globl stand_in_{index}",
            f".type stand_in_{index}, %{kind}",
            f"stand_in_{index}: .zero {max(symbol.size, 1) if kind != 'function' else 1}",
            f".size stand_in_{index}, {symbol.size}",
            f".symver stand_in_{index}, {symbol.name}@@{symbol.version}",
        ]
    source, script = path.with_suffix(path.suffix + ".s"), path.with_suffix(path.suffix + ".map")
    source.write_text("\n".join([*lines, '.section .note.GNU-stack,"",%progbits', ""]))
    script.write_text("".join(f"{version} {{ local: stand_in_*; }};\n" for version in versions))
    options = ["-shared", "-nostdlib", f"-Wl,-soname,{path.name}", f"-Wl,--version-script={script}"]
    subprocess.run([*compiler, *options, str(source), "-o", str(path)], check=True)


def _installed(compiler: list[str], name: str) -> Path:
    """The path where the compiler finds a file of glibc. Raises SystemExit."""
    command = [*compiler, f"-print-file-name={name}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if found == name:
        raise SystemExit(f"error: {compiler[0]} cannot find {name}; on Debian: apt-get install libc6-dev")
    return Path(found).resolve()


def _loader(compiler: list[str]) -> Path:
    libc = _installed(compiler, "libc.so.6")
    [name] = elf.needed_libraries(libc)
    return _installed(compiler, name)


if __name__ == "__main__":
    make_view(shlex.split(sys.argv[1]), tuple(int(part) for part in sys.argv[2].split(".")), Path(sys.argv[3]).resolve())
