"""Opens regular files only: a FIFO without a writer would block its reader for ever, and some devices never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a directory"),
)


class NotRegularError(OSError):
    """It exists but is not a regular file. `strerror` says what it is."""


def kind_of(mode: int) -> str:
    """What a special file is, in words; "" for a regular file."""
    return "" if stat.S_ISREG(mode) else next((words for test, words in _KINDS if test(mode)), "a special file")


def open_regular(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a regular file for reading, with further flags of open(2). Never blocks. Raises NotRegularError and OSError."""
    # O_NONBLOCK has no effect on regular files; a FIFO opens at once and is recognised below.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
    except OSError as error:
        kind = kind_of(os.lstat(path).st_mode) if os.path.lexists(path) and not os.path.islink(path) else ""
        if kind:  # a socket cannot even be opened
            raise _not_regular(path, kind) from None
        raise error
    if kind := kind_of(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path, kind)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, largest: int) -> bytes:
    """The contents of a regular file, at most `largest` + 1 bytes. Raises as `open_regular`."""
    with open_regular(path) as file:
        # Not read(largest + 1), which would allocate that much memory first.
        size = os.fstat(file.fileno()).st_size
        return file.read(min(size, largest) + 1)


def _not_regular(path: Path, kind: str) -> NotRegularError:
    return NotRegularError(0, f"it is {kind}, not a regular file", str(path))
