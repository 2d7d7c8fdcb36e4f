"""modelscope.cn.

    GET /api/v1/models/ORG/NAME/repo/files?Revision=R&Recursive=True    files, sizes, checksums
    GET /api/v1/models/ORG/NAME/repo?Revision=R&FilePath=FILE           content

These two requests are made here, because ModelScope's own packages add a second HTTP library, requests to find the nearest
region, and an identifier in the user's home directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from youtu_export.errors import ExportError
from youtu_export.hubs.hub import HubFile, Listing, endpoint_of
from youtu_export.hubs.web import RefusedError, Web

_COMMIT = re.compile(r"[0-9a-f]{40}")
_OK = 200


class _File(msgspec.Struct, rename="pascal"):
    path: str
    type: str = "blob"
    size: int = 0
    sha256: str = ""
    revision: str = ""
    """The last commit that changed it."""
    committed_date: int = 0


class _Committer(msgspec.Struct, rename="pascal"):
    id: str = ""


class _Data(msgspec.Struct, rename="pascal"):
    files: list[_File] = []
    latest_committer: _Committer | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    code: int = _OK
    success: bool = True
    message: str = ""
    data: _Data | None = None


class ModelScope:
    """See Hub."""

    name = "modelscope"
    token_variable = "MODELSCOPE_API_TOKEN"  # noqa: S105 - the name of a variable
    endpoint_variable = "MODELSCOPE_ENDPOINT"
    default_revision = "master"

    def __init__(self, web: Web) -> None:
        self._web = web
        self.endpoint = endpoint_of(self.endpoint_variable, "https://modelscope.cn")

    def headers(self) -> Mapping[str, str]:
        """The token in both forms, for older and newer servers."""
        token = os.environ.get(self.token_variable)
        return {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}

    def listing(self, model: str, revision: str) -> Listing:
        """See Hub."""
        url = f"{self._api(model)}/files?{urlencode({'Revision': revision, 'Recursive': 'True'})}"
        try:
            answer = msgspec.convert(self._web.document(url, self.headers()), _Answer)
        except msgspec.ValidationError as error:
            raise ExportError(f"{url}: unexpected response, not from a hub: {error}") from None
        if answer.code != _OK or not answer.success or answer.data is None:
            raise RefusedError(404, "", answer.message or f"code {answer.code}")
        files = [file for file in answer.data.files if file.type == "blob"]
        described = [HubFile(file.path, file.size, sha256=file.sha256 or None) for file in files]
        return Listing(self.name, model, revision, _commit(url, revision, answer.data), described)

    def file_url(self, model: str, commit: str, path: str) -> str:
        """See Hub."""
        return f"{self._api(model)}?{urlencode({'Revision': commit, 'FilePath': path})}"

    def page(self, model: str, revision: str) -> str:
        """See Hub."""
        return f"{self.endpoint}/models/{model}/files?{urlencode({'version': revision})}"

    def _api(self, model: str) -> str:
        return f"{self.endpoint}/api/v1/models/{model}/repo"


def _commit(url: str, revision: str, data: _Data) -> str:
    """The commit of a listing. Some responses leave it empty; then it is that of the most recently changed file."""
    newest = max(data.files, key=lambda file: file.committed_date, default=None)
    last = data.latest_committer.id if data.latest_committer else ""
    for commit in (revision, last, newest.revision if newest else ""):
        if _COMMIT.fullmatch(commit):
            return commit
    raise ExportError(f"{url}: the response does not name a commit")
