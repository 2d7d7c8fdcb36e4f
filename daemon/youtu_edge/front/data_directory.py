"""The lock on storage.directory: one daemon at a time; a second one fails with an error that names the holder.

The kernel releases the lock when the process ends, however it ends. The pid in the file is only for the error message.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from pathlib import Path

from youtu_edge.errors import DataInUseError
from youtu_edge.log import line

log = logging.getLogger(__name__)

LOCK = "lock"
_LEAVING_S = 2.0
"""How long a previous daemon may take to exit."""
_POLL_S = 0.05


class DataDirectory:
    """`directory` "": nothing is stored on disk, and nothing is locked."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock: int | None = None

    def claim(self, patience_s: float = _LEAVING_S) -> None:
        """Acquire the lock, again if the directory was deleted and recreated. Raises DataInUseError.

        An unusable directory is not locked: the databases log the reason and keep everything in memory.
        """
        if not self._directory or self._is_held():
            return
        self.release()
        path = Path(self._directory) / LOCK
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            lock = _open(path)
        except OSError as error:
            log.warning(line("data_not_locked", file=path, reason=error.strerror))
            return
        try:
            self._wait(lock, path, patience_s)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def claim_again(self) -> None:
        """`claim` in a running daemon: if another one holds the lock, that is logged and this one goes on."""
        try:
            self.claim(patience_s=0.0)
        except DataInUseError as error:
            log.error(line("data_in_use", reason=error.message))

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _wait(self, lock: int, path: Path, patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise DataInUseError(
                        f"storage.directory {self._directory} is in use by another youtu-edge{_holder(lock)}; stop it, or "
                        "set another storage.directory for this one"
                    ) from None
                time.sleep(_POLL_S)
            except OSError as error:  # a file system without locks
                log.warning(line("data_not_locked", file=path, reason=error.strerror))
                return
            else:
                with contextlib.suppress(OSError):  # a full disk
                    os.truncate(lock, 0)
                    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
                return

    def _is_held(self) -> bool:
        """Whether we hold the lock on the file that a second daemon would open."""
        if self._lock is None:
            return False
        try:
            there = os.stat(Path(self._directory) / LOCK)
        except OSError:
            return False
        return os.path.samestat(os.fstat(self._lock), there)


def _open(path: Path) -> int:
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDWR, 0o644)
    except PermissionError:  # created by a daemon that was run by hand as root; a read-only descriptor can be locked, too
        return os.open(path, flags | os.O_RDONLY, 0o644)


def _holder(lock: int) -> str:
    pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
    return f" (pid {pid})" if pid.isdigit() else ""
