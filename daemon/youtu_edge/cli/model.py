"""`youtu-edge model show|verify DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from youtu_edge.errors import one_line
from youtu_edge.golden import GOLDEN, read_golden
from youtu_edge.package import open_package, read_manifest


def show(directory: str) -> int:
    """Print what the manifest says. Raises PackageError."""
    manifest = read_manifest(Path(directory))
    cache = manifest.cache
    at_full = cache.bytes_per_token * manifest.context_length
    rows = {
        "name": manifest.name,
        "family": manifest.family,
        "recipe": manifest.recipe,
        "parameters": f"{manifest.parameters:,}" if manifest.parameters else "not stated",
        "context": f"{manifest.context_length:,} tokens",
        "vocabulary": f"{manifest.vocab_size:,}",
        "cache": f"{cache.layout}, {cache.layers} layers x {cache.kv_heads} heads x {cache.width}, {cache.dtype}",
        "cache per token": f"{cache.bytes_per_token:,} bytes ({_size(at_full)} for the whole context)",
        "size": _size(sum(entry.size for entry in manifest.files.values())),
        "exported by": manifest.exporter or "not stated",
    }
    rows |= {f"quality {name}": str(value) for name, value in manifest.quality.items()}
    rows |= {f"source {name}": value for name, value in manifest.source.items()}
    rows |= {f"file {name}": _size(entry.size) for name, entry in manifest.files.items()}
    width = max(len(one_line(name)) for name in rows)
    for name, value in rows.items():
        print(f"{one_line(name):<{width}}  {one_line(value)}")
    return 0


def verify(directory: str) -> int:
    """Check every byte, with progress on a terminal, and what golden.json says. Raises PackageError naming the bad file."""
    report = _report_progress if sys.stderr.isatty() else None
    try:
        package = open_package(directory, progress=report)
    finally:
        if report:
            print(file=sys.stderr)
    if GOLDEN in package.manifest.files:
        read_golden(package.path(GOLDEN))
    print(f"{directory}: ok, {len(package.manifest.files)} files")
    return 0


def _report_progress(done: int, total: int) -> None:
    percent = 100 * done // max(total, 1)
    print(f"\rverified {_size(done)} of {_size(total)} ({percent} %)", end="", file=sys.stderr, flush=True)


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.2f} {unit}"
