"""sha256 of files and of their pieces; fsync."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PIECE_BYTES = 64 * 1024 * 1024
"""Files larger than this have a checksum for each piece of this size, so that all cores can check them."""

_CHUNK = 1024 * 1024


def file_sha256(path: Path) -> str:
    """sha256 of a whole file."""
    return _sha256(path, 0, None)


def piece_digests(path: Path, size: int) -> Iterator[str]:
    """sha256 of each piece of a file, in order, computed on all cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(lambda begin: _sha256(path, begin, PIECE_BYTES), range(0, size, PIECE_BYTES))


def _sha256(path: Path, begin: int, length: int | None) -> str:
    """sha256 of `length` bytes from `begin`, or to the end of the file. hashlib releases the GIL meanwhile."""
    digest, buffer = hashlib.sha256(), bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        while (length is None or length > 0) and (count := file.readinto(buffer)):
            count = count if length is None else min(count, length)
            digest.update(memoryview(buffer)[:count])
            length = None if length is None else length - count
    return digest.hexdigest()


def sync(path: Path) -> None:
    """fsync a file, or the names in a directory, so that a power cut cannot undo it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
