"""A hub on this machine: Hugging Face's and ModelScope's protocols over two ports, one of which is "another host".

Large files are handed out as on Hugging Face, by a redirect to the other host. Answers can be cut, held, damaged or
refused. It is also a proxy, so that a request that would leave the machine arrives here.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MODEL = "some-org/Tiny-1"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".gguf", ".bin", "tokenizer.json")


@dataclass(frozen=True)
class Request:
    """What arrived. `target` is what stood in the request line: a path, or a whole address if this is a proxy."""

    target: str
    is_other_host: bool
    first_byte: int
    authorization: str | None


@dataclass
class HubServer:
    """The files, by path, and what goes wrong; the addresses are set when it runs."""

    files: dict[str, bytes]
    token: str | None = None
    """Needed for everything if set."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """File: after how many bytes each of its next answers ends."""
    holds: dict[str, list[int]] = field(default_factory=dict)
    """File: after how many bytes each of its next answers says no more, until the client goes away."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """File, or "" for the listing: the status and X-Error-Code of every answer."""
    damaged: set[str] = field(default_factory=set)
    has_ranges: bool = True
    sizes: dict[str, int] = field(default_factory=dict)
    """What the listing says instead of the truth."""
    requests: list[Request] = field(default_factory=list)
    address: str = ""
    other_address: str = ""

    def asked_for(self, path: str) -> list[int]:
        """The first byte of every answer with the content of a file."""
        ways = (
            (f"/content/{path}", f"FilePath={path}")
            if path.endswith(LARGE)
            else (f"/resolve/{COMMIT}/{path}", f"FilePath={path}")
        )
        return [one.first_byte for one in self.requests if unquote(one.target).endswith(ways)]

    def fetched(self) -> set[str]:
        """All files whose content was asked for."""
        return {path for path in self.files if self.asked_for(path)}


@contextmanager
def running(server: HubServer) -> Iterator[HubServer]:
    """Serve on two ports of the loopback interface."""
    sites = [_Site(server, is_other_host=other) for other in (False, True)]
    server.address, server.other_address = (f"http://127.0.0.1:{site.server_port}" for site in sites)
    threads = [threading.Thread(target=site.serve_forever, args=(0.02,)) for site in sites]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for site, thread in zip(sites, threads, strict=True):
            site.shutdown()
            thread.join()
            site.server_close()


class _Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer, *, is_other_host: bool) -> None:
        self.hub = hub
        self.is_other_host = is_other_host
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self._note()
        self._refuse(403, "")

    def do_GET(self) -> None:
        hub = self.server.hub
        self._note()
        url = urlsplit(self.path)
        path, query = unquote(url.path), {key: values[0] for key, values in parse_qs(url.query).items()}
        if self.server.is_other_host:
            self._content(path.removeprefix("/content/"))
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(401, "RepoNotFound")
        elif path.startswith("/api/models/"):
            self._or_refusal("", lambda: self._hugging_face_listing(path, query))
        elif path.startswith(f"/{MODEL}/resolve/{COMMIT}/"):
            file = path.removeprefix(f"/{MODEL}/resolve/{COMMIT}/")
            self._or_refusal(file, lambda: self._resolve(file))
        elif path == f"/api/v1/models/{MODEL}/repo/files":
            self._or_refusal("", lambda: self._modelscope_listing(query))
        elif path == f"/api/v1/models/{MODEL}/repo":
            self._or_refusal(query["FilePath"], lambda: self._content(query["FilePath"]))
        else:
            self._refuse(404, "")

    def _note(self) -> None:
        self.server.hub.requests.append(
            Request(self.path, self.server.is_other_host, self._first_byte(), self.headers.get("Authorization"))
        )

    def _first_byte(self) -> int:
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def _or_refusal(self, file: str, answer: Callable[[], None]) -> None:
        refused = self.server.hub.refusals.get(file)
        self._refuse(*refused) if refused else answer()

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _hugging_face_listing(self, path: str, query: dict[str, str]) -> None:
        model, _, revision = path.removeprefix("/api/models/").partition("/revision/")
        if model != MODEL:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("main", "v1", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            siblings = [self._sibling(path, content) for path, content in self.server.hub.files.items()]
            if query.get("blobs") != "true":
                siblings = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
            self._answer(200, json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode(), {})

    def _sibling(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.server.hub.sizes.get(path, len(content))
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
        found = {"rfilename": path, "size": size, "blobId": blob}
        if path.endswith(LARGE):  # the blob is that of a pointer
            found |= {"blobId": "f" * 40, "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": size}}
        return found

    def _resolve(self, file: str) -> None:
        if file.endswith(LARGE):
            content = self.server.hub.files[file]
            linked = {"X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Linked-Size": str(len(content))}
            location = f"{self.server.hub.other_address}/content/{file}"
            self._answer(302, b"", {"Location": location, "X-Repo-Commit": COMMIT, **linked})
        else:
            self._content(file)

    def _modelscope_listing(self, query: dict[str, str]) -> None:
        if query["Revision"] not in ("master", COMMIT):
            self._answer(200, json.dumps({"Code": 404, "Success": False, "Message": "no such revision"}).encode(), {})
            return
        files = [
            {"Path": path, "Type": "blob", "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest()}
            | {"Revision": COMMIT if path == "config.json" else "e" * 40, "CommittedDate": int(path == "config.json")}
            for path, content in self.server.hub.files.items()
        ]
        data = {"Files": [*files, {"Path": "onnx", "Type": "tree"}], "LatestCommitter": {"Id": ""}}
        self._answer(200, json.dumps({"Code": 200, "Success": True, "Data": data}).encode(), {})

    def _content(self, file: str) -> None:
        hub = self.server.hub
        content = hub.files[file]
        if file in hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        first = self._first_byte() if hub.has_ranges else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cut, hold = _next(hub.cuts, file), _next(hub.holds, file)
        self.wfile.write(content[first:][: cut if cut is not None else hold])
        self.close_connection = cut is not None
        if hold is not None:
            self.wfile.flush()
            self.connection.recv(1)  # returns when the client is gone


def _next(faults: dict[str, list[int]], file: str) -> int | None:
    return faults[file].pop(0) if faults.get(file) else None


def files_of(directory: Path) -> dict[str, bytes]:
    """The files below a directory, by their paths in it."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}
