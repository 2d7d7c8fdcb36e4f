"""One file over HTTPS, continued after an interruption, and complete only with the expected sha256.

    DIRECTORY/SHA256.part        the bytes so far
    DIRECTORY/SHA256.validator   URL and ETag (or Last-Modified) of the answer they are from

What is there is asked for from where it ends, with If-Range: a server whose file has changed sends all of it instead. No
name but the sha256 decides what the bytes are, so an archive may move to another server in the middle.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from youtu_edge.errors import UpdateError
from youtu_edge.file_digest import file_sha256
from youtu_edge.regular_file import read_regular
from youtu_edge.updates.https_client import HttpsClient, Interrupted, Refused
from youtu_edge.updates.pace import ATTEMPTS, Pace, delay_s

_CHUNK = 64 * 1024
_LARGEST_VALIDATOR = 8 * 1024
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+)", re.ASCII)

Progress = Callable[[int, int], None]
"""(bytes so far, bytes in all)"""


@dataclass(frozen=True)
class RemoteFile:
    """What is to be fetched. `size` in bytes; None: what the server says."""

    url: str
    sha256: str
    size: int | None = None


class Download:
    """Fetches into `directory`, which exists and which nothing else writes to. At most `spare()` bytes may be written."""

    def __init__(
        self,
        client: HttpsClient,
        directory: Path,
        pace: Pace,
        *,
        spare: Callable[[], int],
        say: Callable[[str], None],
        waiting: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._client = client
        self._directory = directory
        self._pace = pace
        self._spare = spare
        self._say = say
        self._waiting = waiting
        self._progress = progress

    def fetch(self, file: RemoteFile) -> Path:
        """The complete file, whose sha256 is right. Raises UpdateError; what was fetched is kept if it can be continued."""
        part = self._part(file)
        self.forget_all(but=file)
        continued = part.exists()
        while True:
            self._complete(file, part)
            found = file_sha256(part)
            if found == file.sha256:
                return part
            self.forget_all()
            if not continued:
                raise UpdateError(f"{file.url}: its sha256 is {found} instead of {file.sha256}; publish it again")
            # A power cut may have damaged what an earlier command fetched.
            self._say("the bytes of the earlier attempt are damaged: fetching all of them again")
            continued = False

    def forget_all(self, but: RemoteFile | None = None) -> None:
        """Delete what was fetched, of other files than `but`."""
        for path in self._directory.iterdir():
            if path.suffix in (".part", ".validator") and (but is None or path.stem != but.sha256):
                path.unlink()

    def _part(self, file: RemoteFile) -> Path:
        return self._directory / f"{file.sha256}.part"

    def _complete(self, file: RemoteFile, part: Path) -> None:
        attempts = 0
        while True:
            before = _size(part)
            if file.size is not None and before == file.size:
                return
            try:
                self._pace.wait_until_open(self._waiting)
                self._attempt(file, part)
                return
            except Refused as error:
                if error.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise UpdateError(str(error)) from None
                self.forget_all()
                raise UpdateError(f"{file.url}: ends after {before} bytes, too early; publish it again") from None
            except Interrupted as error:
                attempts = 1 if _size(part) > before else attempts + 1
                if attempts == ATTEMPTS:
                    raise UpdateError(
                        f"{file.url}: {error}; {_size(part)} bytes are kept, and the same command continues from there"
                    ) from None
                if self._pace.is_open:
                    self._say(f"{error}; continuing at {_size(part)} bytes in {delay_s(attempts)} s")
                    self._pace.pause(delay_s(attempts))

    def _attempt(self, file: RemoteFile, part: Path) -> None:
        """Returns when the file is complete. Raises Interrupted if it is not, with what came appended."""
        have, headers = _size(part), dict[str, str]()
        if have and (validator := self._validator(file)):
            headers = {"Range": f"bytes={have}-", "If-Range": validator}
        with self._client.get(file.url, headers) as answer:
            continues = answer.status == http.client.PARTIAL_CONTENT
            have, total = _extent(file, answer, have if continues else 0)
            if total - have > self._spare():
                raise UpdateError(
                    f"{file.url}: its {total} bytes do not fit on the disk, which has {max(self._spare(), 0)} to spare; "
                    "`youtu-edge model prune` frees space"
                )
            if not continues:
                self._remember(file, answer)
            try:
                with part.open("ab" if continues else "wb") as target:
                    self._receive(answer, target, have, total)
            except OSError as error:
                self.forget_all()  # a full disk stays full for everybody else
                hint = "; `youtu-edge model prune` frees space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
                raise UpdateError(f"{part}: {error.strerror}{hint}") from None

    def _receive(self, answer: http.client.HTTPResponse, target: IO[bytes], have: int, total: int) -> None:
        self._progress(have, total)
        while have < total:
            if not self._pace.is_open:
                raise Interrupted("the time window has ended")
            try:
                chunk = answer.read(min(self._pace.read_size(_CHUNK), total - have))
            except (OSError, http.client.HTTPException) as error:
                raise Interrupted(f"the connection broke: {error or type(error).__name__}") from None
            if not chunk:
                raise Interrupted(f"the connection ended after {have} of {total} bytes")
            target.write(chunk)
            have += len(chunk)
            self._progress(have, total)
            self._pace.received(len(chunk))

    def _remember(self, file: RemoteFile, answer: http.client.HTTPResponse) -> None:
        """A weak ETag does not promise equal bytes (RFC 9110, section 13.1.5)."""
        etag = answer.headers.get("ETag", "")
        validator = etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")
        (self._directory / f"{file.sha256}.validator").write_text(f"{file.url}\n{validator}", encoding="utf-8")

    def _validator(self, file: RemoteFile) -> str:
        """What If-Range is to say; "" if the bytes are from another URL, or their server said nothing."""
        try:
            text = read_regular(self._directory / f"{file.sha256}.validator", _LARGEST_VALIDATOR).decode()
        except (OSError, UnicodeDecodeError):
            return ""
        url, _, validator = text.partition("\n")
        return validator if url == file.url and validator.isprintable() else ""


def _extent(file: RemoteFile, answer: http.client.HTTPResponse, have: int) -> tuple[int, int]:
    """Where the answer begins, and the size of the whole file. Raises UpdateError if they are not what is expected."""
    if answer.status == http.client.PARTIAL_CONTENT:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not found or int(found.group(1)) != have:
            raise UpdateError(f"{file.url}: the server sends another range than bytes={have}-; do not cache it")
        total = int(found.group(2))
    else:
        length = answer.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise UpdateError(f"{file.url}: the server does not say how large it is (Content-Length)")
        total = int(length)
    if file.size is not None and total != file.size:
        raise UpdateError(f"{file.url}: the server has {total} bytes, but the index says {file.size}; publish it again")
    return have, total


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
