"""Downloads a model from a hub: listed at one commit, fetched, verified.

    CACHE/HUB/ORG--NAME/COMMIT.json    what the hub listed
    CACHE/HUB/ORG--NAME/COMMIT/        its files; an ordinary checkpoint directory once complete

An incomplete file has the suffix .part.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from youtu_export.errors import ExportError
from youtu_export.hubs import HUBS
from youtu_export.hubs.by_hand import listed, unlisted
from youtu_export.hubs.hub import Hub, HubFile, Listing
from youtu_export.hubs.model_files import checkpoint_files, gguf_file, index_file
from youtu_export.hubs.refusal import refusal
from youtu_export.hubs.transfer import PAUSES_S, Transfer, difference
from youtu_export.hubs.web import RefusedError, UnreachableError, Web
from youtu_export.progress import byte_progress

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """What to fetch: a checkpoint in Hugging Face's format, or one GGUF file of a repository."""

    hub: str
    """A key of HUBS."""
    model: str
    """ORG/NAME."""
    revision: str | None = None
    """Branch, tag or commit; None is the hub's default branch."""
    gguf: str | None = None
    """Path of the GGUF file in the repository."""


@dataclass(frozen=True)
class Downloaded:
    """A model on this disk, and its listing on the hub."""

    path: Path
    """The directory, or the GGUF file."""
    listing: Listing
    endpoint: str
    size: int
    """Bytes of its files."""


def default_cache() -> Path:
    """Where downloads are kept by default. Raises ExportError for a user without a home."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if not cache.is_absolute():
        raise ExportError("this user has no home directory to keep downloads in: name a directory with --cache")
    return cache / "youtu-edge" / "hub"


def download(wanted: HubModel, cache: Path, pauses_s: Sequence[float] = PAUSES_S) -> Downloaded:
    """Fetch what is not in the cache yet. Every returned file has the hub's size and checksum.

    Raises ExportError: no such model, revision or file; no access; no network; disk full; a damaged file.
    """
    web = Web()
    hub = HUBS[wanted.hub](web)
    place = cache / wanted.hub / wanted.model.replace("/", "--")
    listing = _listing(hub, wanted, place)
    directory = place / listing.commit
    with byte_progress(listing.model) as progress:
        fetch = _Fetch(hub, listing, directory, Transfer(web, hub.headers(), progress.advance, pauses_s))
        try:
            index = None if wanted.gguf else index_file(listing)
            if index is not None:
                fetch.files([index])
            files = [gguf_file(listing, wanted.gguf)] if wanted.gguf else checkpoint_files(listing, directory)
            progress.expect(sum(file.size for file in files))
            fetch.files([file for file in files if file != index])
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{directory} keeps what was fetched; run the same command to continue") from None
    path = directory / wanted.gguf if wanted.gguf else directory
    return Downloaded(path, listing, hub.endpoint, sum(file.size for file in files))


def _listing(hub: Hub, wanted: HubModel, place: Path) -> Listing:
    """A commit never changes, so its listing is cached; that of a branch is fetched every time."""
    revision = wanted.revision or hub.default_revision
    known = place / f"{revision}.json"
    if _COMMIT.fullmatch(revision) and (found := _read_listing(known)) is not None:
        return msgspec.structs.replace(found, revision=revision)
    try:
        listing = hub.listing(wanted.model, revision)
    except RefusedError as error:
        raise ExportError(f"{wanted.model}: {refusal(hub, wanted.model, revision, error)}") from None
    except UnreachableError as error:
        reason = f"not a local path, and {hub.endpoint} cannot be reached: {error.message}"
        raise ExportError(f"{wanted.model}: {reason}; {unlisted(hub, wanted.model, revision, wanted.gguf)}") from None
    _write_listing(place, listing)
    return listing


def _read_listing(path: Path) -> Listing | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Listing)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write_listing(place: Path, listing: Listing) -> None:
    path = place / f"{listing.commit}.json"
    try:
        place.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_bytes(msgspec.json.format(msgspec.json.encode(listing), indent=1))
        path.with_suffix(".new").replace(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}; choose another directory: --cache DIR") from None


@dataclass
class _Fetch:
    """Fetches files of one listing into one directory."""

    hub: Hub
    listing: Listing
    directory: Path
    transfer: Transfer

    def files(self, files: Sequence[HubFile]) -> None:
        """Fetch those that are missing. Raises ExportError."""
        missing = [file for file in files if not self._is_present(file)]
        self._check_disk_space(sum(self._missing_bytes(file) for file in missing))
        for number, file in enumerate(missing):
            url = self.hub.file_url(self.listing.model, self.listing.commit, file.path)
            try:
                self.transfer.fetch(url, file, self.directory / file.path)
            except RefusedError as error:
                reason = refusal(self.hub, self.listing.model, self.listing.commit, error, file.path)
                raise ExportError(f"{self.listing.model}: {file.path}: {reason}") from None
            except UnreachableError as error:
                by_hand = listed(self.hub, self.listing, missing[number:], self.directory)
                reason = f"{self.hub.endpoint} can no longer be reached: {error.message}"
                raise ExportError(f"{self.listing.model}: {file.path}: {reason}; {by_hand}") from None

    def _is_present(self, file: HubFile) -> bool:
        """Whether it is present and intact; a damaged or different file is removed."""
        path = self.directory / file.path
        if not path.is_file():
            return False
        if difference(path, file) is None:
            self.transfer.already(file.size)
            return True
        path.unlink()
        return False

    def _missing_bytes(self, file: HubFile) -> int:
        part = self.directory / f"{file.path}.part"
        return max(0, file.size - (part.stat().st_size if part.exists() else 0))

    def _check_disk_space(self, size: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.directory).free
        if size > free:
            raise ExportError(
                f"{self.directory}: {_gigabytes(free)} free, but {_gigabytes(size)} remain to be fetched; "
                "free some space, or choose another directory: --cache DIR"
            )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
