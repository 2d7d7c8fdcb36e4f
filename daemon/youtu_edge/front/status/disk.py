"""The disk with the storage directory: how full it is, and how much of it is ours."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

_FRESH_S = 5.0


class DiskFigures(msgspec.Struct, kw_only=True):
    """Bytes."""

    total_bytes: int
    free_bytes: int
    used_bytes: int
    """By the files of the storage directory."""


class Disk:
    """`directory` "": nothing is stored on disk. Looked at once in five seconds, however often it is asked for."""

    def __init__(self, directory: str, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._looked_at = float("-inf")
        self._figures: DiskFigures | None = None

    def figures(self) -> DiskFigures | None:
        """None without a storage directory, or when it cannot be read."""
        if self._directory and self._clock() - self._looked_at > _FRESH_S:
            self._looked_at, self._figures = self._clock(), self._look()
        return self._figures

    def _look(self) -> DiskFigures | None:
        try:
            usage = shutil.disk_usage(self._directory)
            files = list(Path(self._directory).iterdir())
        except OSError:
            return None
        used = 0
        for path in files:
            with contextlib.suppress(OSError):  # removed meanwhile
                used += path.stat().st_size if path.is_file() else 0
        return DiskFigures(total_bytes=usage.total, free_bytes=usage.free, used_bytes=used)
