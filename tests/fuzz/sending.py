"""Sends one request over its own socket, with its delivery faults, and records the answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from fuzz.requests import RECENT, Request

PATIENCE_S = 30.0
"""Timeout of an answer."""
_ID = re.compile(rb'"(?:id|request_id)":\s*"([A-Za-z0-9_-]{4,80})"')


@dataclass
class Answer:
    """What came back; `status` 0: nothing."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False
    left: str = ""
    """Why we did not wait for the end."""
    fault: str = ""
    """How the connection ended."""
    seconds: float = 0.0

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Sender:
    """Sends to one port; remembers ids that the daemon gave."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._recent: deque[str] = deque(["none"], maxlen=8)

    def send(self, request: Request) -> Answer:
        """Send the request and return the answer, however it ends."""
        begun, answer = time.monotonic(), Answer()
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S) as connection:
                if request.manner == "slow reader":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                self._exchange(connection, request, answer)
                if answer.left and request.is_reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except TimeoutError:
            answer.left = "out of patience"
        except (OSError, http.client.HTTPException) as error:
            answer.fault = answer.fault or repr(error)
        answer.seconds = time.monotonic() - begun
        return answer

    def _exchange(self, connection: socket.socket, request: Request, answer: Answer) -> None:
        head, body = self._bytes(request)
        is_sent = self._write(connection, request, head, body, answer)
        if answer.left:
            return
        if request.manner == "half-close":
            connection.shutdown(socket.SHUT_WR)
            answer.left = "half-closed"
        response = http.client.HTTPResponse(connection, method=request.method)
        try:
            response.begin()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            answer.fault = f"{'' if is_sent else 'while sending: '}{error!r}"
            return
        answer.status = response.status
        answer.headers = {name.lower(): value for name, value in response.getheaders()}
        self._read(response, request, answer)

    def _bytes(self, request: Request) -> tuple[bytes, bytes]:
        path = request.path.replace(RECENT, self._recent[-1]).replace(" ", "%20").encode()
        body = request.body
        names = {name.lower() for name, _ in request.headers}
        lines = [request.method.encode() + b" " + path + b" HTTP/1.1"]
        if b"host" not in names:
            lines.append(b"Host: 127.0.0.1:%d" % self._port)
        lines += [name + b": " + value for name, value in request.headers]
        if request.is_chunked and b"transfer-encoding" not in names:
            lines.append(b"Transfer-Encoding: chunked")
            size = max(1, len(body) // 7)
            parts = [body[at : at + size] for at in range(0, len(body), size)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif b"content-length" not in names:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, b"", b""]), body

    def _write(self, connection: socket.socket, request: Request, head: bytes, body: bytes, answer: Answer) -> bool:
        """Whether all of it was taken. `answer.left` says when we left on purpose."""
        data = head + body
        if request.manner == "pipelined":
            data += b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        if request.manner == "leave in header":
            data, answer.left = head[: int(len(head) * request.moment)], "in the header"
        elif request.manner in ("leave in body", "stalled body") and body:
            data = data[: len(head) + int((len(body) - 1) * request.moment)]
            answer.left = "in the body" if request.manner == "leave in body" else ""
        elif request.manner == "leave after body":
            answer.left = "after the body"
        try:
            if request.manner == "slow body":
                size = max(1, len(data) // 8)
                for at in range(0, len(data), size):
                    connection.sendall(data[at : at + size])
                    time.sleep(0.1 * request.moment)
            else:
                connection.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            return False
        if answer.left and request.moment > 0.5:
            time.sleep(request.moment - 0.5)  # whatever was begun is under way by then
        return True

    def _read(self, response: http.client.HTTPResponse, request: Request, answer: Answer) -> None:
        given = response.getheader("X-Request-Id")
        if given:
            self._recent.append(given)
        if request.manner == "cancel" and given and answer.is_stream:
            threading.Timer(request.moment, self._cancel, [given]).start()
        most = int(3000 * request.moment) if request.manner == "leave in answer" else 1 << 62
        end = time.monotonic() + PATIENCE_S
        parts, length = [], 0
        while length < most:
            part = response.read1(300 if request.manner == "slow reader" else 65536)
            if not part:
                answer.is_complete = True
                break
            parts.append(part)
            length += len(part)
            if request.manner == "slow reader":
                time.sleep(0.02)
            if time.monotonic() > end:
                answer.left = "out of patience"
                break
        else:
            answer.left = "in the answer"
        answer.body = b"".join(parts)
        if found := _ID.search(answer.body[:4000]):
            self._recent.append(found.group(1).decode())

    def _cancel(self, request_id: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("POST", f"/v1/requests/{request_id}/cancel")
            connection.getresponse().read()


def last_event(body: bytes) -> dict[str, object] | None:
    """The last JSON document of a stream."""
    for line in reversed(body.splitlines()):
        if line.startswith(b"data: {"):
            found: dict[str, object] = json.loads(line[6:])
            return found
    return None
