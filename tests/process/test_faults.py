"""Real engines that crash, hang and stall inside a step; only the request that caused it fails."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from daemon_process import Daemon, Stream, chat


class FaultyDaemon(Daemon):
    PROGRAM = (sys.executable, str(Path(__file__).with_name("serve_faulty.py")))


def wait_text(streams: list[Stream], more_than: int) -> None:
    """Until every stream has more than so many characters."""
    deadline = time.monotonic() + 60
    while any(len(stream.text) <= more_than for stream in streams):
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.002)


@pytest.mark.parametrize("fault", ["segv@1", "segv@9", "spin@4"])
def test_one_request_kills_two_engines_and_five_others_answer_as_if_alone(
    tiny_package: Path, tmp_path: Path, fault: str
) -> None:
    """The guilty one fails by name; the budget of a single restart is enough, and what ran beside it is not changed."""
    bodies = [chat(f"story number {index}", max_tokens=400) for index in range(5)]
    settings = {"service__max_restart_rate": "1/300", "service__step_deadline_s": 4, "engine__threads": 1}
    with FaultyDaemon(tiny_package, tmp_path, **settings) as daemon:
        daemon.wait_ready()
        expected = [daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for body in bodies]
        streams = [Stream(daemon, body) for body in bodies]
        wait_text(streams, 3)
        status, answer = daemon.post("/v1/chat/completions", chat(f"poison {fault}", max_tokens=50))
        assert (status, answer["error"]["code"]) == (500, "poison_request")
        for stream in streams:
            stream.join(60)
            assert not stream.error
        assert [stream.text for stream in streams] == expected
        assert daemon.metric("youtu_edge_engine_restarts_total") == 2


def test_an_engine_that_stands_still_is_replaced_and_its_streams_go_on(tiny_package: Path, tmp_path: Path) -> None:
    """SIGSTOP in the middle of four streams, twice: killed after the deadline, resumed, no request suspected."""
    bodies = [chat(f"tale number {index}", max_tokens=450) for index in range(4)]
    with Daemon(tiny_package, tmp_path, service__step_deadline_s=3) as daemon:
        daemon.wait_ready()
        expected = [daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for body in bodies]
        streams = [Stream(daemon, body) for body in bodies]
        pid = 0
        for _ in range(2):
            pid = daemon.wait_engine_pid(pid)
            wait_text(streams, min(len(stream.text) for stream in streams))
            os.kill(pid, signal.SIGSTOP)
        for stream in streams:
            stream.join(60)
            assert not stream.error
        assert [stream.text for stream in streams] == expected
        assert daemon.log.count("stopped from outside") == 2
        assert "poison_request" not in daemon.log


def test_a_real_engine_that_leaks_is_replaced_and_every_request_is_answered(tiny_package: Path, tmp_path: Path) -> None:
    """A megabyte is lost in every step: a new engine comes between requests, none fails, and the budget is not used."""
    settings = {"memory__max_growth": "48M/60", "service__max_restart_rate": "1/300", "memory__limit": "600M"}
    with FaultyDaemon(tiny_package, tmp_path, **settings) as daemon:
        daemon.wait_ready()
        body = chat("leak slowly", max_tokens=30)
        expected = daemon.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
        deadline = time.monotonic() + 90
        while not daemon.metric("youtu_edge_engine_recycles_total"):
            assert time.monotonic() < deadline, daemon.log
            status, answer = daemon.post("/v1/chat/completions", body)
            assert status == 200, answer
            assert answer["choices"][0]["message"]["content"] == expected
            time.sleep(0.5)  # the watch needs three readings, one a second, before the kernel's limit is reached
        assert daemon.post("/v1/chat/completions", body)[0] == 200
        assert daemon.metric("youtu_edge_engine_restarts_total") == 0
