"""The name of a board, and the directory with what it keeps: conversations, durable requests, stored responses.

Both belong to the machine and outlive a replica: the next one on this machine has the same name and finds the same data.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from pathlib import Path

VARIABLE = "YOUTU_EDGE_SERVICE__BOARD"
_POLL_S = 0.1


class BoardName:
    """A name that no other replica of this machine has while this process, or a daemon that inherits `lock`, lives."""

    def __init__(self, storage: Path, boards_per_node: int, patience_s: float) -> None:
        """Waits for a predecessor to end. Raises TimeoutError if all names of this machine are in use."""
        first = os.environ.get(VARIABLE) or re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower())
        names = [first, *(f"{first}-{number}" for number in range(2, boards_per_node + 1))]
        storage.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + patience_s
        while not any(self._claim(storage, name) for name in names):
            if time.monotonic() >= end:
                raise TimeoutError(f"{storage}: {', '.join(names)} are in use; end these daemons, or raise boards_per_node")
            time.sleep(_POLL_S)

    def _claim(self, storage: Path, name: str) -> bool:
        lock = os.open(storage / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self.name, self.lock, self.directory = name, lock, storage / name
        return True
