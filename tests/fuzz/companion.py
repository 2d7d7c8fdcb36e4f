"""Somebody who is answered all the time while others do their worst: `fuzz.companion PORT DAEMON_PID`.

A process of its own, so that the fuzzer's work does not delay its clock. It has one greedy answer after the other streamed
and asks /livez and /metrics. Every line that it prints is one JSON document: {"expected": text} once, then {"gap": …} and
{"fault": …} when they happen, and {"figures": …} after its standard input was closed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass

from fuzz.machine_load import Load, cpu_pressure_s

TOKENS = 300
BODY = {
    "messages": [{"role": "user", "content": "Tell me a long story about a river."}],
    "temperature": 0,
    "max_tokens": TOKENS,
    "ignore_eos": True,
    "stream": True,
}
REPORTED_S = 0.5
"""Gaps from here on are told one by one."""
_FOR_NOW = (429, 503)


@dataclass
class Figures:
    """Seconds, unless told otherwise. `counted`: less what the machine did not give the daemon (machine_load.py)."""

    answers: int = 0
    refused: int = 0
    """Times that the companion was told to come later."""
    worst_gap: float = 0.0
    worst_gap_counted: float = 0.0
    worst_first_word: float = 0.0
    polls: int = 0
    worst_poll: float = 0.0
    worst_poll_counted: float = 0.0
    canary: float = 0.0
    """The longest delay of a thread that only sleeps."""
    others: float = 0.0
    """Cores that others used, on the average."""
    pressure: float = 0.0
    """Share of the time in which some task of the machine waited for a processor."""


class Companion:
    """Threads for the stream and for the polls, and what they found."""

    def __init__(self, port: int, daemon_pid: int) -> None:
        self._port = port
        self._load = Load(daemon_pid)
        self._begun, self._pressure = time.monotonic(), cpu_pressure_s()
        self._stopping = threading.Event()
        self.figures = Figures()
        self._print = threading.Lock()
        self._is_undisturbed = True

    def run(self) -> None:
        """Until standard input is closed."""
        expected = self._answer()
        if not expected:
            raise SystemExit("the companion is not answered")
        self._is_undisturbed = False
        self._tell(expected=expected)
        threads = [threading.Thread(target=self._listen, args=[expected]), threading.Thread(target=self._poll)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._stopping.set()
        for thread in threads:
            thread.join()
        now = time.monotonic()
        self.figures.canary = self._load.worst_delay_s
        self.figures.others = self._load.others_in_all()
        self.figures.pressure = (cpu_pressure_s() - self._pressure) / (now - self._begun)
        self._tell(figures=asdict(self.figures))

    def _tell(self, **document: object) -> None:
        with self._print:
            print(json.dumps(document), flush=True)

    def _listen(self, expected: str) -> None:
        while not self._stopping.is_set():
            try:
                text = self._answer()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._tell(fault=f"the companion's answer failed: {error!r}", at=time.monotonic())
                time.sleep(0.5)
                continue
            if text is not None and text != expected:
                self._tell(fault=f"the companion was answered {text!r} instead of {expected!r}", at=time.monotonic())

    def _answer(self) -> str | None:
        """The whole text; None if the request was rejected with "try again later"."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        with contextlib.closing(connection):
            begun = time.monotonic()
            connection.request("POST", "/v1/chat/completions", json.dumps(BODY), {"Priority": "u=0"})
            response = connection.getresponse()
            if response.status in _FOR_NOW:
                self.figures.refused += 1
                time.sleep(0.1)
                return None
            if response.status != 200:
                raise ValueError(f"{response.status}: {response.read()[:300]!r}")
            text, before = "", 0.0
            for line in response:
                if not line.startswith(b"data: {"):
                    continue
                now = time.monotonic()
                event = json.loads(line[6:])
                if "error" in event:
                    raise ValueError(f"{event['error']!r}")
                if before:
                    self._gap(before, now)
                elif event["choices"][0]["delta"].get("content") and not self._is_undisturbed:
                    self.figures.worst_first_word = max(self.figures.worst_first_word, now - begun)
                    before = now
                before = now if before else 0.0
                text += event["choices"][0]["delta"].get("content") or ""
        self.figures.answers += 1
        return text

    def _gap(self, begin: float, end: float) -> None:
        gap = end - begin
        if self._is_undisturbed or (gap < self.figures.worst_gap_counted and gap < REPORTED_S):
            return
        if gap >= REPORTED_S:
            time.sleep(0.15)  # the sample that closes the gap
        counted = self._load.counted(begin, end)
        self.figures.worst_gap = max(self.figures.worst_gap, gap)
        self.figures.worst_gap_counted = max(self.figures.worst_gap_counted, counted)
        if gap >= REPORTED_S:
            self._told("companion", begin, end, counted)

    def _told(self, what: str, begin: float, end: float, counted: float) -> None:
        self._tell(
            gap=round(end - begin, 3),
            what=what,
            counted=round(counted, 3),
            **self._load.told(begin, end),
            begin=begin,
            end=end,
        )

    def _poll(self) -> None:
        while not self._stopping.wait(0.2):
            for path in ("/livez", "/metrics"):
                begin = time.monotonic()
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
                try:
                    connection.request("GET", path)
                    status = connection.getresponse().status
                except (OSError, http.client.HTTPException) as error:
                    self._tell(fault=f"{path}: {error!r}", at=time.monotonic())
                    continue
                finally:
                    connection.close()
                self._polled(path, status, begin, time.monotonic())

    def _polled(self, path: str, status: int, begin: float, end: float) -> None:
        if status != 200:
            self._tell(fault=f"{path}: {status}", at=end)
        self.figures.polls += 1
        if end - begin >= REPORTED_S:
            time.sleep(0.15)
        counted = self._load.counted(begin, end)
        self.figures.worst_poll = max(self.figures.worst_poll, end - begin)
        self.figures.worst_poll_counted = max(self.figures.worst_poll_counted, counted)
        if end - begin >= REPORTED_S:
            self._told(path, begin, end, counted)


if __name__ == "__main__":
    Companion(int(sys.argv[1]), int(sys.argv[2])).run()
