"""The web UI's files in `static/`, and its libraries in `libraries/`: read and compressed once, on their first request.

Everything the page needs comes from here, so it works without a network; the content security policy forbids everything
else, inline scripts included.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import msgspec
from aiohttp import web

from youtu_edge.front.http.route import Route
from youtu_edge.request_errors import NotFoundError

PAGE = "index.html"
STATIC = Path(__file__).parents[1] / "static"
LIBRARIES = Path(__file__).parents[1] / "libraries"
"""Made by the build (web/copy_libraries.py); the page does without what is missing there."""

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Files with other suffixes are not served."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    # Revalidated each time, with 304: after an upgrade no browser mixes old files with new ones.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Encoding",
}
_DOCUMENT_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of files that a browser may open as a document; they have no effect on the files that a document loads."""

_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
"""In Accept-Encoding: gzip is acceptable."""

_IMPORT = re.compile(rb'^@import "(\w+\.css)";$', re.MULTILINE)

_DOCUMENTS = frozenset({".html", ".svg"})


class StaticFile(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    content_type: str
    compressed: bytes
    """gzip."""
    etag: str


class StaticFiles:
    """Serves the files of two directories; the set is fixed at the start, so no path of a request reaches the disk."""

    def __init__(self, directory: Path = STATIC, libraries: Path = LIBRARIES) -> None:
        self._paths = {
            prefix + path.name: path
            for prefix, place in (("", directory), ("lib/", libraries))
            for path in sorted(place.glob("*"))
            if path.suffix in CONTENT_TYPES and path.is_file()
        }
        self._files: dict[str, StaticFile] = {}

    def routes(self) -> list[Route]:
        """The files that the page refers to."""
        return [
            Route("GET", "/ui/{name}", self.file, scope=None, is_listed=False),
            Route("GET", "/ui/lib/{name}", self.library, scope=None, is_listed=False),
        ]

    async def file(self, request: web.Request) -> web.Response:
        """GET /ui/{name}: a file that the page refers to."""
        return self._named(request, request.match_info["name"])

    async def library(self, request: web.Request) -> web.Response:
        """GET /ui/lib/{name}: a file of a library."""
        return self._named(request, "lib/" + request.match_info["name"])

    def page(self, request: web.Request) -> web.Response:
        """The page itself, for `/`: its links are relative to there."""
        return self._answer(request, PAGE)

    def _named(self, request: web.Request, name: str) -> web.Response:
        if name not in self._paths or name == PAGE:
            raise NotFoundError(f"no file {name[:200]!r} in the web UI")
        return self._answer(request, name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        file = self._file(name)
        headers = {**_HEADERS, "ETag": f'"{file.etag}"'}
        if self._paths[name].suffix in _DOCUMENTS:
            headers |= _DOCUMENT_HEADERS
        if any(tag.value in (file.etag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = file.compressed
        if _GZIP.search(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
        else:
            body = gzip.decompress(body)
        return web.Response(body=body, headers={**headers, "Content-Type": file.content_type})

    def _file(self, name: str) -> StaticFile:
        if name not in self._files:
            data = self._read(name)
            self._files[name] = StaticFile(
                content_type=CONTENT_TYPES[self._paths[name].suffix],
                compressed=gzip.compress(data, mtime=0),
                etag=hashlib.sha256(data).hexdigest()[:20],
            )
        return self._files[name]

    def _read(self, name: str) -> bytes:
        """The file; a style sheet with those that it imports in their places, because each request has its price."""
        data = self._paths[name].read_bytes()
        if self._paths[name].suffix != ".css":
            return data
        return _IMPORT.sub(lambda found: self._paths[found[1].decode()].read_bytes(), data)


def wants_html(request: web.Request) -> bool:
    """Whether the client is a browser. Programs that accept anything (`*/*`) get the text that suits a terminal."""
    return "text/html" in request.headers.get("Accept", "")
