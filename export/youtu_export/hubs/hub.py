"""The interface of a hub: files with sizes and checksums at one commit, and a URL for each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from youtu_export.errors import ExportError

_ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w./~-]*)?|https?://\[[0-9a-f:]+\](:\d+)?(/[\w./~-]*)?", re.ASCII)


class HubFile(msgspec.Struct, frozen=True):
    """One file of a model as the hub describes it."""

    path: str
    """Inside the repository, with slashes."""
    size: int
    """Bytes."""
    sha256: str | None = None
    """Of the content; None if the hub does not say."""
    git_sha1: str | None = None
    """The git blob id of the content, for files outside large file storage."""


class Listing(msgspec.Struct, frozen=True):
    """All files of a model at one commit."""

    hub: str
    """Its name on the command line."""
    model: str
    """ORG/NAME."""
    revision: str
    """As requested: a branch, a tag, a commit."""
    commit: str
    """What the revision resolved to."""
    files: list[HubFile]

    def file(self, path: str) -> HubFile | None:
        """The file with this path, or None."""
        return next((file for file in self.files if file.path == path), None)


class Hub(Protocol):
    """One hub. `token_variable` and `endpoint_variable` are the names of environment variables."""

    name: str
    endpoint: str
    token_variable: str
    endpoint_variable: str
    default_revision: str

    def headers(self) -> Mapping[str, str]:
        """The headers of every request: the token, if there is one."""
        ...

    def listing(self, model: str, revision: str) -> Listing:
        """Raises UnreachableError, and RefusedError if the hub does not serve this model or revision."""
        ...

    def file_url(self, model: str, commit: str, path: str) -> str:
        """The URL of a file's content."""
        ...

    def page(self, model: str, revision: str) -> str:
        """The page that lists the files in a browser."""
        ...


def endpoint_of(variable: str, default: str) -> str:
    """The URL of a hub, or of the mirror that the environment names. Raises ExportError."""
    endpoint = os.environ.get(variable) or default
    if not _ADDRESS.fullmatch(endpoint):
        raise ExportError(f"{variable}: {endpoint!r} is not a URL; write it like {default}")
    return endpoint.rstrip("/")
