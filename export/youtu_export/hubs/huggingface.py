"""huggingface.co and its mirrors.

    GET /api/models/ORG/NAME/revision/REVISION?blobs=true    commit, files, sizes, checksums
    GET /ORG/NAME/resolve/COMMIT/FILE                        content, often with a redirect to another host

`blobs=true` adds sizes and checksums.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from youtu_export.errors import ExportError
from youtu_export.hubs.hub import HubFile, Listing, endpoint_of
from youtu_export.hubs.web import Web

_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Lfs(msgspec.Struct):
    sha256: str


class _File(msgspec.Struct, rename={"blob_id": "blobId"}):
    rfilename: str
    size: int | None = None
    blob_id: str | None = None
    lfs: _Lfs | None = None


class _Model(msgspec.Struct):
    sha: str
    siblings: list[_File]


class HuggingFace:
    """See Hub."""

    name = "huggingface"
    token_variable = "HF_TOKEN"  # noqa: S105 - the name of a variable
    endpoint_variable = "HF_ENDPOINT"
    default_revision = "main"

    def __init__(self, web: Web) -> None:
        self._web = web
        self.endpoint = endpoint_of(self.endpoint_variable, "https://huggingface.co")

    def headers(self) -> Mapping[str, str]:
        """The token from HF_TOKEN or `hf auth login`."""
        token = self._web.login_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def listing(self, model: str, revision: str) -> Listing:
        """See Hub."""
        url = f"{self.endpoint}/api/models/{model}/revision/{quote(revision, safe='')}?blobs=true"
        try:
            found = msgspec.convert(self._web.document(url, self.headers()), _Model)
        except msgspec.ValidationError as error:
            raise ExportError(f"{url}: unexpected response, not from a hub: {error}") from None
        if not _COMMIT.fullmatch(found.sha):
            raise ExportError(f"{url}: the response does not name a commit")
        return Listing(self.name, model, revision, found.sha, [_file(url, file) for file in found.siblings])

    def file_url(self, model: str, commit: str, path: str) -> str:
        """See Hub."""
        return f"{self.endpoint}/{model}/resolve/{commit}/{quote(path)}"

    def page(self, model: str, revision: str) -> str:
        """See Hub."""
        return f"{self.endpoint}/{model}/tree/{quote(revision, safe='')}"


def _file(url: str, file: _File) -> HubFile:
    if file.size is None:
        raise ExportError(f"{url}: the response does not give the size of {file.rfilename}")
    if file.lfs is not None:
        return HubFile(file.rfilename, file.size, sha256=file.lfs.sha256)
    return HubFile(file.rfilename, file.size, git_sha1=file.blob_id)
