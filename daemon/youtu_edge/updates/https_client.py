"""GET over HTTPS and nothing else: certificates are verified, and a redirect to another scheme is refused.

A proxy is used if the environment names one (https_proxy, no_proxy), as other programs do.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from youtu_edge.errors import UpdateError

_TIMEOUT_S = 30.0
"""Without a byte."""
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class Interrupted(Exception):  # noqa: N818 -- not an error for the user: the download goes on
    """The network or the server failed in a way that may pass; the message is for people."""


class Refused(Exception):  # noqa: N818 -- an answer, which some callers expect
    """The server answered with a status that will not change by asking again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpsClient:
    """Every answer is that of a server whose certificate was verified with `tls`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._opener = urllib.request.OpenerDirector()  # without urllib's default handlers for http, ftp and file
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPSHandler(context=tls),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _HttpsRedirects(),
        ):
            self._opener.add_handler(handler)

    def get(self, url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        """The answer, of status 200 or 206; the caller closes it.

        Raises Interrupted for what may pass, Refused for another status, and UpdateError for everything else.
        """
        check_url(url)
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", **(headers or {})})
        try:
            answer: Any = self._opener.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{error.code} {error.reason}".strip()
            if error.code in _TRANSIENT:
                raise Interrupted(f"the server answers {reason}") from None
            raise Refused(error.code, f"{url}: the server answers {reason}") from None
        except urllib.error.URLError as error:
            raise _classified(url, error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise _classified(url, error) from None
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            answer.close()
            raise UpdateError(f"{url}: the server compresses the file although it was asked not to; turn that off for it")
        found: http.client.HTTPResponse = answer
        return found


def check_url(url: str) -> None:
    """Accept https://HOST/PATH. Raises UpdateError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme.lower() != "https" or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UpdateError(f"{url}: models are fetched over https only; write https://HOST/PATH")
    if "@" in parts.netloc:
        raise UpdateError(f"https://…@{host}: a password in a URL is seen by every user of this machine; leave it out")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """As urllib's, which keeps Range and If-Range; not for other schemes."""
        if urlsplit(newurl).scheme.lower() != "https":
            raise UpdateError(f"{req.full_url}: the server redirects to {newurl}, which is not https; nothing was fetched")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _classified(url: str, reason: object) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return UpdateError(
            f"{url}: the server's certificate is not trusted: {reason.verify_message}; "
            "if it is your own server, name its certificate authority with --ca-file"
        )
    return Interrupted(f"no connection: {getattr(reason, 'strerror', None) or reason or type(reason).__name__}")
