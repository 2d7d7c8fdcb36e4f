"""Runs the request fuzzer against a real daemon, and finds what must not happen.

Before: a daemon with SmolLM2 in 1500M, warmed up, its memory and descriptors noted. Then clients send requests
(requests.py) while a companion is answered (companion.py). After: everything must be finished and given back.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon_process import Daemon
from fuzz.daemon_state import State, settle
from fuzz.requests import Requests
from fuzz.sending import Answer, Sender
from fuzz.verdict import Judge

SETTINGS: dict[str, object] = {
    "memory__limit": "1500M",
    "engine__threads": 0,
    "memory__return_after_s": 1.0,
    "memory__keep_prefixes_s": 3.0,
    "service__header_timeout_s": 5.0,
    "service__body_timeout_s": 8.0,
    "service__idle_timeout_s": 4.0,
    "service__write_timeout_s": 5.0,
    "service__max_restart_rate": "1000/300",
    "generation__max_new_tokens": 64,
}
"""Times are shorter than by default, so that a run sees them end; a run goes on after an engine's death, which fails it."""
WARM_UP = 120
"""Requests of a fixed seed before the memory at rest is noted: first uses load code and build tables."""
_SUSPICIOUS = (
    "Traceback", "handler_failed", "request_fault", "text_worker_fault", "engine_died", "engine_gave_up",
    "engine_protocol_error", "engine_recycle", "poison_request", "database_failed", "database_set_aside", "accept_paused",
)  # fmt: skip
_AROUND_S = 1.0
_GAP = (
    "{what}: nothing for {gap} s, counted {counted} s (sleepers were {delay} s late, the daemon waited {waited} s for a "
    "processor, others used {others} cores)"
)


@dataclass
class Finding:
    """What must not have happened, and the numbers of the requests that were being answered then."""

    what: str
    numbers: list[int]


@dataclass
class Report:
    """What a run saw."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    codes: collections.Counter[str] = field(default_factory=collections.Counter)
    requests: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    workers_died: int = 0
    engine_starts: int = 0
    companion: dict[str, Any] = field(default_factory=dict)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    before: State | None = None
    after: State | None = None
    findings: list[Finding] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        """For people."""
        yield f"{self.requests} requests: " + ", ".join(f"{name} {n}" for name, n in sorted(self.statuses.items()))
        yield "codes: " + ", ".join(f"{name} {count}" for name, count in self.codes.most_common())
        yield f"slowest: {self.slowest[0]:.1f} s, number {self.slowest[1]}; text workers that died: {self.workers_died}"
        figures = {name: round(value, 3) for name, value in self.companion.items()}
        yield "companion (seconds): " + ", ".join(f"{name} {value}" for name, value in figures.items())
        for gap in sorted(self.gaps, key=lambda gap: -float(gap["counted"]))[:5]:
            yield f"    {_GAP.format(**gap)}"
        yield f"engine starts: {self.engine_starts}"
        yield f"at rest before: {self.before}"
        yield f"at rest after:  {self.after}"


class Run:
    """One run against one daemon."""

    def __init__(self, daemon: Daemon, seed: int, *, clients: int, gap_s: float) -> None:
        self.daemon, self.gap_s, self.clients = daemon, gap_s, clients
        self.report = Report()
        document = json.loads(daemon.get("/openapi.json")[1])
        self.requests = Requests(seed, document)
        self._warm_up = Requests(0, document)
        self._judge, self._sender = Judge(), Sender(daemon.port)
        self._lock = threading.Lock()
        self._times: dict[int, tuple[float, float]] = {}
        self._engine = daemon.engine_pid
        self._log_read = 0

    def go(self, numbers: Iterable[int], minutes: float) -> Report:
        """Sends the requests with these numbers until the time is over."""
        self._clients(self._warm_up, iter(range(WARM_UP)), time.monotonic() + 120)
        self._settled("the warm-up")
        report = self.report = Report(before=State.of(self.daemon))
        with self._start_companion() as companion:
            self._clients(self.requests, iter(numbers), time.monotonic() + 60 * minutes)
            companion.stdin.close()  # type: ignore[union-attr]  # a pipe
            self._companion_thread.join(60)
            companion.wait(60)
        if not report.companion:
            report.findings.append(Finding(f"the companion ended by itself with {companion.returncode}, see above", []))
        self._settled("the run")
        bound = (report.before or State()).bound()
        report.after = settle(self.daemon, bound, 60)
        report.findings += [Finding(what, []) for what in report.after.beyond(bound)]
        self._watch()
        report.engine_starts = self.daemon.log.count("engine_started")
        report.workers_died = self.daemon.log.count("text_worker_died")
        if (code := self.daemon.process.poll()) is not None:
            report.findings.append(Finding(f"the daemon exited with {code}", []))
        elif restarts := self.daemon.metric("youtu_edge_engine_restarts_total"):
            report.findings.append(Finding(f"{restarts:.0f} engine restarts", []))
        return report

    def _clients(self, requests: Requests, numbers: Iterable[int], end: float) -> None:
        source = iter(numbers)
        threads = [threading.Thread(target=self._client, args=[requests, source, end]) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            self._watch()
        for thread in threads:
            thread.join()

    def _client(self, requests: Requests, source: Iterable[int], end: float) -> None:
        while time.monotonic() < end and self.daemon.process.poll() is None:
            with self._lock:
                number = next(iter(source), None)
            if number is None:
                return
            request = requests.request(number)
            with self._lock:
                self._times[number] = (time.monotonic(), float("inf"))
            answer = self._sender.send(request)
            fault = self._judge.fault(request, answer)
            with self._lock:
                self._times[number] = (self._times[number][0], time.monotonic())
                self._count(number, answer)
                if fault:
                    self.report.findings.append(Finding(fault, [number]))

    def _count(self, number: int, answer: Answer) -> None:
        report = self.report
        report.requests += 1
        report.statuses[str(answer.status or f"left {answer.left}" if answer.left else answer.status or "closed")] += 1
        report.slowest = max(report.slowest, (answer.seconds, number))
        if answer.status >= 400:
            try:
                report.codes[json.loads(answer.body)["error"]["code"]] += 1
            except (ValueError, KeyError, TypeError):
                report.codes["?"] += 1

    def _around(self, begin: float, end: float) -> list[int]:
        with self._lock:
            return sorted(n for n, (first, last) in self._times.items() if first < end and last > begin - _AROUND_S)

    def _find(self, what: str, begin: float, end: float) -> None:
        numbers = self._around(begin, end)
        with self._lock:
            self.report.findings.append(Finding(what, numbers))

    def _watch(self) -> None:
        """Looks at the log and at the engine."""
        now = time.monotonic()
        log = self.daemon.log
        new, self._log_read = log[self._log_read :], len(log)
        for line in new.splitlines():
            if any(word in line for word in _SUSPICIOUS):
                self._find(f"log: {line[:400]}", now - 0.3, now)
        try:
            engine = self.daemon.engine_pid
        except (IndexError, OSError):
            engine = 0
        if engine != self._engine:
            self._find(f"another engine: process {engine} instead of {self._engine}", now - 0.3, now)
            self._engine = engine

    def _settled(self, what: str) -> None:
        """Everything asked for is answered: durable and background requests go on without their clients."""
        end, unfinished = time.monotonic() + 180, 1
        while unfinished and self.daemon.process.poll() is None:
            status = json.loads(self.daemon.get("/v1/status")[1])
            unfinished = status["unfinished_requests"] + status["unfinished_durable_requests"]
            if time.monotonic() > end:
                self.report.findings.append(Finding(f"{unfinished} requests are unfinished 180 s after {what}", []))
                return
            time.sleep(0.2)

    def _start_companion(self) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "fuzz.companion", str(self.daemon.port), str(self.daemon.process.pid)]
        companion = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        if companion.stdout is None or "expected" not in json.loads(companion.stdout.readline() or "{}"):
            raise AssertionError(f"the companion is not answered:\n{self.daemon.log}")
        self._companion_thread = threading.Thread(target=self._hear, args=[companion.stdout])
        self._companion_thread.start()
        return companion

    def _hear(self, lines: Iterable[str]) -> None:
        for line in lines:
            told = json.loads(line)
            if "figures" in told:
                self.report.companion = told["figures"]
            elif "fault" in told:
                self._find(told["fault"], told["at"] - 0.5, told["at"])
            elif "gap" in told:
                self.report.gaps.append(told)
                if told["counted"] > self.gap_s:
                    self._find(_GAP.format(**told), told["begin"], told["end"])


def fuzz(
    package: Path,
    directory: Path,
    seed: int,
    *,
    minutes: float,
    only: Iterable[int] | None = None,
    clients: int = 6,
    gap_s: float = 1.0,
) -> tuple[Report, Requests]:
    """A whole run with its own daemon; the log stays in `directory`."""
    settings = {**SETTINGS, "storage__directory": directory / "data"}
    with Daemon(package, directory, **settings) as daemon:  # type: ignore[arg-type]  # keys of the configuration
        daemon.wait_ready(180)
        run = Run(daemon, seed, clients=clients, gap_s=gap_s)
        return run.go(itertools.count() if only is None else only, minutes), run.requests
