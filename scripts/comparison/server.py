"""A server with OpenAI's API: starts it, sends requests over HTTP, and keeps the measurements."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

STORY = "Tell me a very long story about a river, a mountain and the people between them."
LOAD_DEADLINE_S = 180.0


@dataclass
class Answer:
    """One streamed answer, as the client saw it; times in seconds after the request was sent."""

    first_s: float
    last_s: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass
class Server:
    """A running server and its measurements, in tokens per second."""

    name: str
    url: str
    extra: dict[str, Any]
    rates: dict[str, list[float]] = field(default_factory=lambda: {"prefill": [], "decode": [], "streams": []})
    prompt_tokens: int = 0
    pid: int = 0
    rss_mib: float = 0.0

    def ask(self, messages: list[dict[str, str]], max_tokens: int) -> Answer:
        """Ask greedily and stream the answer. Raises SystemExit with the server's message if it rejects the request."""
        body = {
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
            **self.extra,
        }
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"{self.name} answered {response.status}: {response.read(2000).decode(errors='replace')}")
        # Read now, parse later: this process shares the cores with the server.
        received = [(time.perf_counter() - begun, line) for line in response]
        first = last = 0.0
        usage: dict[str, Any] = {}
        for now, line in received:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                if choice["delta"].get("content"):
                    first, last = first or now, now
                elif choice.get("finish_reason") and not first:
                    first = last = now  # the only token is part of a character
        connection.close()
        if not usage:
            sys.exit(f"{self.name} sent no usage")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Answer(first, last, usage["prompt_tokens"], cached, usage["completion_tokens"])

    def prefill(self, prompt: str) -> None:
        """Rate of a prompt that is in no cache, up to the first token."""
        answer = self.ask([{"role": "system", "content": prompt}, {"role": "user", "content": "Go on."}], 1)
        self.prompt_tokens = answer.prompt_tokens
        self.rates["prefill"].append((answer.prompt_tokens - answer.cached_tokens) / answer.first_s)

    def decode(self, tokens: int, number: int) -> None:
        """Rate of an answer; the prompt differs between rounds, the work does not."""
        answer = self.ask([{"role": "user", "content": f"{STORY} Its chapter {number} goes like this."}], tokens)
        self.rates["decode"].append((answer.completion_tokens - 1) / (answer.last_s - answer.first_s))

    def streams(self, count: int, tokens: int, number: int) -> None:
        """Rate of `count` answers at once."""
        with ThreadPoolExecutor(count) as pool:
            futures = [
                pool.submit(self.ask, [{"role": "user", "content": f"{STORY} Its chapter {number}, part {part}."}], tokens)
                for part in range(count)
            ]
            answers = [future.result() for future in futures]
        seconds = max(answer.last_s for answer in answers) - min(answer.first_s for answer in answers)
        self.rates["streams"].append(sum(answer.completion_tokens - 1 for answer in answers) / seconds)

    def weigh(self) -> None:
        """Record the RSS of the process that was started; ours has an engine beside it, which this leaves out."""
        with open(f"/proc/{self.pid}/status") as status:
            self.rss_mib = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

    def metrics(self) -> dict[str, float]:
        """Plain samples of /metrics, by name."""
        text = _get(f"{self.url}/metrics").decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def _get(url: str) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise ConnectionError(f"status {response.status}")
        return data
    finally:
        connection.close()


@contextlib.contextmanager
def running(name: str, argv: list[str], url: str, ready: str, extra: dict[str, Any]) -> Iterator[Server]:
    """The server, started and ready; stopped at the end. Raises SystemExit with the end of its log if it does not start."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + LOAD_DEADLINE_S
            while True:
                try:
                    _get(url + ready)
                    break
                except (OSError, http.client.HTTPException):
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        sys.exit(f"{name} did not start:\n{log.read().decode(errors='replace')[-2000:]}")
                    time.sleep(0.1)
            yield Server(name, url, extra, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_url() -> str:
    """A URL on this machine with a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
