"""A directory that is created completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from youtu_edge.file_digest import sync
from youtu_edge.package import MANIFEST
from youtu_export.errors import ExportError


@contextmanager
def new_directory(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary directory beside `out`; on success it is renamed to `out`, otherwise it is deleted.

    An existing `out` is replaced only with `force`, and only if it is a package.
    """
    reject_existing(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield staging
        staging.chmod(0o755)
        for path in (*staging.iterdir(), staging):
            sync(path)
        _replace(staging, out)
        sync(out.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def reject_existing(out: Path, *, force: bool) -> None:
    """Raise ExportError if `out` exists and must not be replaced."""
    if not os.path.lexists(out):
        return
    if not force:
        raise ExportError(f"{out}: already exists; choose another name, or use --force to replace it")
    if out.is_symlink() or not (out / MANIFEST).is_file():
        raise ExportError(f"{out}: not a model package, so --force does not replace it")


def _replace(new: Path, out: Path) -> None:
    if not os.path.lexists(out):
        new.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    try:
        out.rename(old)
        try:
            new.rename(out)
        except BaseException:
            old.rename(out)
            raise
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(old)
