"""What is examined: the configuration, and the machine below a configurable root, so recorded machines work too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config


@dataclass(frozen=True)
class Surroundings:
    """`config` has the defaults if the file cannot be read; the examinations that need it are skipped then."""

    config: Config
    config_file: Path | None = None
    root: Path = Path("/")
    """Where /proc and /sys are."""
    user: str = ""
    """The user that the service runs as; "": the current user."""
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    drift: Callable[[], float] = field(default_factory=lambda: _drift_since(time.time() - time.monotonic()))
    """How many seconds the clock was set forward since the examination began."""

    @property
    def files(self) -> BoardFiles:
        """The small files of the board."""
        return BoardFiles(self.root)

    @property
    def proc(self) -> Path:
        """/proc."""
        return self.root / "proc"

    @property
    def cgroup(self) -> Path:
        """/sys/fs/cgroup."""
        return self.root / "sys/fs/cgroup"


def _drift_since(offset: float) -> Callable[[], float]:
    return lambda: time.time() - time.monotonic() - offset


def size(count: float) -> str:
    """Bytes with their unit, such as "1.5 GiB"."""
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count, unit = count / 1024, larger
    return f"{count:.0f} {unit}" if unit in ("bytes", "KiB") or count >= 100 else f"{count:.1f} {unit}"
