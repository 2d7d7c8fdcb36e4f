"""What became of the last `youtu-edge model install https://…`: a file in the store, written by the command and read by the
daemon for `youtu-edge status` and the metrics."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from youtu_edge.encoding import json_bytes
from youtu_edge.json_file import JsonError, checked, decode_json, read_bounded

FILE = "update.json"
_LARGEST = 64 * 1024

Stage = Literal["waiting", "downloading", "installing", "installed", "current", "held", "rejected", "failed"]
FAILURES: tuple[Stage, ...] = ("rejected", "failed")


class UpdateState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line for a technician.

    waiting      for the time window
    downloading  `received` of `size` bytes
    installing   signature, checksums and trial
    installed    release `release`
    current      the index offers nothing newer
    held         it does, but not to this board yet: its percentage
    rejected     the package of this sha256 is not fit for this board; the index is not followed to it again
    failed       for a reason that may pass
    """

    stage: Stage
    source: str
    """The URL that was asked for."""
    model: str = ""
    release: int = 0
    sha256: str = ""
    """Of the archive."""
    received: int = 0
    """Bytes."""
    size: int = 0
    """Bytes."""
    note: str = ""
    """Why, or until when."""
    rejected: dict[str, str] = {}
    """sha256 of the archives whose packages were rejected on this board -> why."""
    at: int = 0
    """Seconds since 1970, when this was written."""


def write_state(store: Path, state: UpdateState) -> None:
    """Replaces the former one. Not worth failing an installation for, so errors of the disk are ignored."""
    temporary = store / f".{FILE}-{os.getpid()}"
    try:
        temporary.write_bytes(json_bytes(msgspec.structs.replace(state, at=int(time.time()))))
        temporary.chmod(0o644)
        temporary.replace(store / FILE)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_state(store: Path) -> UpdateState | None:
    """None if nothing was ever fetched, or the file cannot be read."""
    try:
        return checked(decode_json(read_bounded(store / FILE, _LARGEST)), UpdateState)
    except (OSError, JsonError):
        return None
