"""A static file server with TLS, ranges and ETags, which misbehaves as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from front.certificates import make_certificate


@dataclass
class Fault:
    """What is wrong with one answer to a GET of an archive (*.tar)."""

    cut_after: int | None = None
    """Bytes, after which the connection is reset."""
    status: int | None = None
    location: str = ""
    """With `status` 302."""
    length: int | None = None
    """What Content-Length, or the total in Content-Range, says."""
    headers: dict[str, str] = field(default_factory=dict)


class FileServer:
    """Serves `root`. `faults` are used up by the requests for archives, one each; the rest is served well."""

    def __init__(self, root: Path, certificates: Path) -> None:
        make_certificate(certificates, "files.test")
        self.root = root
        self.ca_file = certificates / "cert.pem"
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str | None]] = []
        """(path, Range) of every request."""
        self.etag = True
        server = self

        class Handler(_Handler):
            files = server

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, certificates / "key.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_port}/"

    @property
    def ranges(self) -> list[str | None]:
        """Of the requests for archives."""
        return [range_ for path, range_ in self.seen if path.endswith(".tar")]

    @contextlib.contextmanager
    def running(self) -> Iterator[FileServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def do_GET(self) -> None:
        self.files.seen.append((self.path, self.headers.get("Range")))
        is_archive = self.path.endswith(".tar")
        fault = self.files.faults.pop(0) if is_archive and self.files.faults else Fault()
        try:
            data = (self.files.root / self.path.lstrip("/")).read_bytes()
        except OSError:
            return self._answer(404, b"", {})
        if fault.status:
            return self._answer(fault.status, b"", {"Location": fault.location} if fault.location else {})
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": etag} if self.files.etag else {}
        begin = self._begin(etag)
        if begin is None:
            headers["Content-Length"] = str(fault.length or len(data))
            return self._answer(200, data, {**headers, **fault.headers}, fault.cut_after)
        if begin >= len(data):
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{fault.length or len(data)}"
        return self._answer(206, data[begin:], {**headers, **fault.headers}, fault.cut_after)

    def _begin(self, etag: str) -> int | None:
        """Where the wanted range begins; None if all is wanted."""
        found = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", ""))
        return int(found.group(1)) if found and self.headers.get("If-Range") == etag else None

    def _answer(self, status: int, data: bytes, headers: dict[str, str], cut_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may leave
            self.wfile.write(data if cut_after is None else data[:cut_after])
        if cut_after is not None or int(headers.get("Content-Length", len(data))) > len(data):
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Not into the output of the tests."""
