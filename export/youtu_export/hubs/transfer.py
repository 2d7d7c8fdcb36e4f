"""Downloads one file: resumes where it stopped, and keeps it only if its checksum matches."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from pathlib import Path

from youtu_export.errors import ExportError
from youtu_export.hubs.hub import HubFile
from youtu_export.hubs.web import RefusedError, UnreachableError, Web

PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses after consecutive failures without a new byte; after one more failure the transfer gives up."""

_PIECE = 1024 * 1024  # bytes
_RANGE_NOT_SATISFIABLE = 416


def difference(path: Path, file: HubFile) -> str | None:
    """How a file differs from the hub's, by the strongest checksum that the hub has; None if it does not."""
    size = path.stat().st_size
    if size != file.size:
        return f"{size} bytes instead of {file.size}"
    if file.sha256:
        name, digest, expected = "sha256", hashlib.sha256(), file.sha256
    elif file.git_sha1:
        name, expected = "git sha1", file.git_sha1
        digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with path.open("rb") as content:
        while piece := content.read(_PIECE):
            digest.update(piece)
    return None if digest.hexdigest() == expected else f"{name} {digest.hexdigest()} instead of {expected}"


class Transfer:
    """Downloads files; an incomplete one has the suffix .part."""

    def __init__(
        self, web: Web, headers: Mapping[str, str], advance: Callable[[int], None], pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self._web = web
        self._headers = headers
        self._advance = advance
        """Called with the number of new bytes; negative if a server cannot resume a file."""
        self._pauses_s = pauses_s

    def already(self, size: int) -> None:
        """Count bytes that need no transfer."""
        self._advance(size)

    def fetch(self, url: str, file: HubFile, target: Path) -> None:
        """Raises UnreachableError, RefusedError, ExportError: damaged, disk full, in use by another process."""
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("a+b", buffering=0) as out:
                _lock(part, out)
                self._complete(url, file, out)
                wrong = difference(part, file)
                part.unlink() if wrong else part.replace(target)
        except OSError as error:
            raise ExportError(f"{part}: cannot be written: {error.strerror or error}; what was fetched is kept") from None
        if wrong:
            raise ExportError(f"{target}: damaged in transfer: {wrong}; removed, run the same command to fetch it again")

    def _complete(self, url: str, file: HubFile, out: FileIO) -> None:
        """Append what is missing."""
        have = out.seek(0, 2)
        if have > file.size:
            have = _truncate(out)
        self._advance(have)
        failures = 0
        while have < file.size:
            before = have
            try:
                with self._web.body(url, self._headers, have) as body:
                    if body.offset not in (0, have):
                        raise UnreachableError("the server sent another part of the file than requested")
                    if body.offset != have:
                        self._advance(-have)
                        have = before = _truncate(out)
                    for piece in body.pieces():
                        _write(out, piece)
                        have += len(piece)
                        self._advance(len(piece))
                        if have > file.size:
                            return
                reason = "the response ended early"
            except UnreachableError as error:
                reason = error.message
            except RefusedError as error:
                if error.status != _RANGE_NOT_SATISFIABLE or not have:
                    raise
                self._advance(-have)
                have, before, reason = _truncate(out), 0, error.message
            if have < file.size:
                failures = 0 if have > before else failures + 1
                self._wait(failures, reason)

    def _wait(self, failures: int, reason: str) -> None:
        if failures > len(self._pauses_s):
            raise UnreachableError(reason)
        if failures:
            time.sleep(self._pauses_s[failures - 1])


def _lock(part: Path, out: FileIO) -> None:
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ExportError(f"{part}: another youtu-export is fetching this file; wait for it") from None


def _truncate(out: FileIO) -> int:
    out.truncate(0)
    return out.seek(0)


def _write(out: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[out.write(rest) :]
