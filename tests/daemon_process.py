"""A real daemon as a test sees it: a process, a port, HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any


class Client:
    """HTTP to a daemon that listens on `port` of this machine."""

    port = 0

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def post(self, path: str, body: dict[str, Any] | bytes, timeout_s: float = 120.0) -> tuple[int, dict[str, Any]]:
        """Status and decoded JSON body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def stream(
        self, body: dict[str, Any], path: str = "/v1/chat/completions", headers: dict[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Events of a streamed answer as they arrive."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            asked = {**body, "stream": True} if path.startswith("/v1/") else body
            connection.request("POST", path, json.dumps(asked), {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for line in response:
                if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                    yield json.loads(line[6:])
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Value of an unlabelled metric."""
        text = self.get("/metrics")[1].decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, f"/metrics has no {name}:\n{text}"
        return float(found.group(1))


class Daemon(Client):
    """`youtu-edge serve` on a free port. Use as a context manager."""

    PROGRAM = (sys.executable, "-m", "youtu_edge", "serve")

    def __init__(self, package: Path, directory: Path, *, config_file: Path | None = None, **settings: object) -> None:
        """`settings` are config keys with "__" for the dot: service__max_queue=3."""
        self.log_path = directory / f"daemon-{time.monotonic_ns()}.log"
        values = {
            "model.path": package,
            "service.port": 0,
            "engine.threads": 1,
            "memory.limit": "2G",
            "storage.directory": "''",
        }
        values |= {key.replace("__", "."): value for key, value in settings.items()}
        command = [*self.PROGRAM, *(["--config", str(config_file)] if config_file else [])]
        for key, value in values.items():
            command += ["--set", f"{key}={value}"]
        self._log = self.log_path.open("wb")
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.port = 0

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._log.close()

    @property
    def log(self) -> str:
        """Its output so far."""
        return self.log_path.read_text(errors="replace")

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Until /readyz says 200; fails with the log when the daemon exits first."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon exited with {self.process.returncode}:\n{self.log}")
            if not self.port and (found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log)):
                self.port = int(found.group(1))
            if self.port:
                try:
                    if self.get("/readyz")[0] == 200:
                        return
                except OSError:
                    pass
            time.sleep(0.05)
        raise AssertionError(f"not ready after {timeout_s} s:\n{self.log}")

    @property
    def engine_pid(self) -> int:
        """Process id of the engine, the front's only child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def wait_engine_pid(self, other_than: int, timeout_s: float = 30.0) -> int:
        """Process id of the next engine."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if (pid := self.engine_pid) != other_than:
                    return pid
            except (IndexError, OSError):
                pass
            time.sleep(0.02)
        raise AssertionError("no new engine was started")


def chat(content: str, **more: Any) -> dict[str, Any]:
    """A chat request with one user message; greedy by default."""
    return {"messages": [{"role": "user", "content": content}], "temperature": 0, **more}


class Stream(threading.Thread):
    """One streamed chat in the background; `text`, `reason` and `usage` when it has ended."""

    def __init__(self, daemon: Client, body: dict[str, Any], **headers: str) -> None:
        super().__init__(daemon=True)
        self._daemon_process, self._body = daemon, {**body, "stream_options": {"include_usage": True}}
        self._headers = headers
        self.text, self.reason, self.usage, self.error = "", "", dict[str, Any](), ""
        self.first_text_s = 0.0
        self.start()

    def run(self) -> None:
        """Collect until the stream ends."""
        begun = time.perf_counter()
        try:
            for event in self._daemon_process.stream(self._body, headers=self._headers):
                if event.get("usage"):
                    self.usage = event["usage"]
                for choice in event.get("choices", ()):
                    if piece := choice["delta"].get("content"):
                        self.first_text_s = self.first_text_s or time.perf_counter() - begun
                        self.text += piece
                    self.reason = choice.get("finish_reason") or self.reason
        except Exception as error:
            self.error = repr(error)
