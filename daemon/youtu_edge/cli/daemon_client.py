"""Requests of a command to a running daemon. Uses only the standard library, so that it starts at once on a small board."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from youtu_edge.errors import UnavailableError, YoutuEdgeError


class DaemonClient:
    """The daemon at a URL, and the key that it is asked with. Raises YoutuEdgeError if they cannot be used."""

    def __init__(self, url: str, key_file: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: for https; None trusts the certificate authorities of this machine."""
        parts = _split(url)
        self.url = url
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._host, self._port = str(parts.hostname), parts.port or (443 if self._tls else 80)
        # The key comes from a file, because other users of the machine can read a command line.
        self._headers = {"Authorization": f"Bearer {_read_key(key_file)}"} if key_file else {}

    @contextlib.contextmanager
    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = 60.0
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, with status 200. Raises UnavailableError if none comes in time, YoutuEdgeError for another status."""
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        )
        try:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise YoutuEdgeError(_message(answer))
            yield answer
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"no answer from {self.url}: {reason}; is the daemon running?") from None
        finally:
            connection.close()


def trust(ca_file: str | None) -> ssl.SSLContext:
    """A context that trusts the certificates of `ca_file`, None: those of this machine. Raises YoutuEdgeError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise YoutuEdgeError(f"{ca_file}: cannot be read as a certificate: {error.strerror or error}") from None


def _split(url: str) -> Any:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise YoutuEdgeError(f"{url!r} is not a URL; write http://HOST:PORT")


def _read_key(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            key = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise YoutuEdgeError(f"{path}: cannot be read as a key: {getattr(error, 'strerror', None) or error}") from None
    if not key.isprintable() or not key:
        raise YoutuEdgeError(f"{path}: a file with one key, on one line, is expected")
    return key


def _message(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.load(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered with status {answer.status}"
