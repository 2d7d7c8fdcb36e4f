"""GET requests through the HTTP client of huggingface_hub, which handles proxies, certificates and HF_HUB_OFFLINE.

Its downloader is not used: since 2.0 it restarts an interrupted file, and it compares sizes, not checksums.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from youtu_edge.json_file import JsonError, decode_json
from youtu_export.errors import ExportError
from youtu_export.optional_library import optional_library

_TIMEOUT_S = 30
"""Without receiving a byte."""
_LARGEST_DOCUMENT = 32 * 1024 * 1024  # bytes
_RETRYABLE = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


class UnreachableError(ExportError):
    """The network failed, or the server asks to retry later; the message is the reason."""


class RefusedError(ExportError):
    """The server rejected the request; the message is its own, if it sent one."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        """`X-Error-Code`, such as GatedRepo."""


class Body:
    """A response whose content is read piece by piece."""

    def __init__(self, response: Any, guarded: Callable[[], Any]) -> None:
        self._response = response
        self._guarded = guarded
        found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        self.offset = int(found[1]) if response.status_code == 206 and found else 0
        """The position in the file where the content begins."""

    def pieces(self) -> Iterator[bytes]:
        """Raises UnreachableError when the connection breaks."""
        pieces = iter(self._response.iter_bytes())
        while True:
            with self._guarded():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


class Web:
    """The client. Raises ExportError if the library is missing or the proxy in the environment is unusable."""

    def __init__(self) -> None:
        library = optional_library("huggingface_hub", user="fetching a model from a hub", extra="hub")
        if int(library.__version__.partition(".")[0]) < 1:
            raise ExportError(f"huggingface_hub {library.__version__} is too old: pip install -U 'youtu-edge[hub]'")
        errors = optional_library("huggingface_hub.errors", user="fetching a model from a hub", extra="hub")
        # httpx or httpx2, whichever the library uses: the base class of its errors
        self._failures = tuple(kind for kind in errors.HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
        self.login_token: Callable[[], str | None] = library.get_token
        """HF_TOKEN, or what `hf auth login` stored."""
        try:
            self._client = optional_library("huggingface_hub.utils", user="fetching", extra="hub").get_session()
        except (ValueError, ImportError) as error:
            raise ExportError(f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used: {error}") from None

    def document(self, url: str, headers: Mapping[str, str]) -> Any:
        """The JSON document at a URL. Raises UnreachableError and RefusedError."""
        content = bytearray()
        with self.body(url, headers) as body:
            for piece in body.pieces():
                content += piece
                if len(content) > _LARGEST_DOCUMENT:
                    raise ExportError(f"{url}: the response is larger than {_LARGEST_DOCUMENT >> 20} MiB")
        try:
            return decode_json(bytes(content))
        except JsonError as error:
            raise ExportError(f"{url}: unexpected response, not from a hub: {error}") from None

    @contextmanager
    def body(self, url: str, headers: Mapping[str, str], offset: int = 0) -> Iterator[Body]:
        """The content at a URL, from byte `offset` on if the server supports it. Raises UnreachableError and RefusedError.

        A redirect to another host is followed without the token.
        """
        request_headers = {**headers, "Accept-Encoding": "identity", "User-Agent": "youtu-export"}
        if offset:
            request_headers["Range"] = f"bytes={offset}-"
        stream = self._client.stream("GET", url, headers=request_headers, timeout=_TIMEOUT_S, follow_redirects=True)
        with self._guarded():
            response = stream.__enter__()
        try:
            self._check(response)
            yield Body(response, self._guarded)
        finally:
            stream.__exit__(None, None, None)

    def _check(self, response: Any) -> None:
        status = int(response.status_code)
        if status in _RETRYABLE:
            raise UnreachableError(f"status {status} {response.reason_phrase}")
        if status not in (200, 206):
            detail = response.headers.get("X-Error-Message") or f"status {status} {response.reason_phrase}"
            raise RefusedError(status, response.headers.get("X-Error-Code", ""), detail)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (*self._failures, OSError) as error:  # HF_HUB_OFFLINE is an OSError
            raise UnreachableError(str(error) or type(error).__name__) from None
