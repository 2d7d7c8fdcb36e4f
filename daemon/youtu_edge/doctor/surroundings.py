"""What is examined: the configuration, and the machine below a root of choice so that recorded ones can be examined."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config


@dataclass(frozen=True)
class Surroundings:
    """`config` is the default one where the file cannot be read; the examinations that need it are left out then."""

    config: Config
    config_file: Path | None = None
    root: Path = Path("/")
    """Where /proc and /sys are."""
    user: str = ""
    """As whom the service runs; "": as whoever asks."""
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
    """Bytes in words."""
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count, unit = count / 1024, larger
    return f"{count:.0f} {unit}" if unit in ("bytes", "KiB") or count >= 100 else f"{count:.1f} {unit}"
