"""A running front with the scripted engine, and small HTTP helpers. Real processes, real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("serve_scripted.py")
PATHS = os.pathsep.join(str(ROOT / name) for name in ("daemon", "export", "tests"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS, "TERM": "dumb"}
"""Of the commands that are run beside a daemon."""


class Daemon:
    def __init__(
        self, *settings: str, engine: tuple[str, ...] = (), env: dict[str, str] | None = None, open_files: int = 0
    ) -> None:
        """`open_files`: RLIMIT_NOFILE of both processes; 0: as it is here."""
        # A pipe that nobody reads would stop the daemon after some hundred lines.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by wait_exit)
        self._log = b""
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "service.port=0", "storage.directory=''", *settings, "--", *engine],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": PATHS, **(env or {})},
            preexec_fn=(lambda: _limit_open_files(open_files)) if open_files else None,
        )
        assert self.process.stdout
        first = self.process.stdout.readline().decode().split()
        self.port = int(first[-1].rpartition(":")[2]) if first else 0

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, body=data, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def chat(self, text: str, **more: Any) -> tuple[int, Any]:
        body = {"messages": [{"role": "user", "content": text}], **more}
        status, _, data = self.request("POST", "/v1/chat/completions", body)
        return status, json.loads(data)

    def stream(self, path: str, body: Any) -> Generator[dict[str, Any], None, None]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        answer: http.client.HTTPResponse | None = None
        try:
            connection.request("POST", path, body=json.dumps(body))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            for raw in answer:
                if raw.startswith(b"data: ") and raw != b"data: [DONE]\n":
                    yield json.loads(raw[6:])
        finally:
            if answer is not None:
                answer.close()
            connection.close()

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.request("GET", "/v1/status")[2])
        return document

    def metric(self, name: str) -> float:
        """A sample of /metrics; 0 for labels that did not occur yet."""
        text = self.request("GET", "/metrics")[2].decode()
        for entry in text.splitlines():
            if entry.rpartition(" ")[0] == name:
                return float(entry.rpartition(" ")[2])
        family = name.partition("{")[0]
        assert f"# TYPE {family} " in text or f"# TYPE {family.rpartition('_')[0]} " in text, (
            f"no metric is called {family}"
        )
        return 0.0

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    answer += piece
            return answer

    def wait_ready(self) -> Daemon:
        wait_until(lambda: self.request("GET", "/readyz")[0] == 200)
        return self

    def engine_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def kill_engine(self) -> None:
        os.kill(self.engine_pid(), signal.SIGKILL)

    def wait_exit(self, timeout: float = 30.0) -> int:
        self.process.communicate(timeout=timeout)
        if not self._stderr.closed:
            self._log = self.log
            self._stderr.close()
        return self.process.returncode

    @property
    def log(self) -> bytes:
        """What it wrote to stderr so far."""
        return self._log if self._stderr.closed else os.pread(self._stderr.fileno(), 1 << 24, 0)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait_exit()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait_exit()
            raise


@contextlib.contextmanager
def running(
    *settings: str, engine: tuple[str, ...] = (), env: dict[str, str] | None = None, open_files: int = 0
) -> Iterator[Daemon]:
    daemon = Daemon(*settings, engine=engine, env=env, open_files=open_files)
    try:
        yield daemon
    finally:
        if daemon.process.returncode is None:
            daemon.process.kill()
            daemon.wait_exit()


def _limit_open_files(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def wait_until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.02)
