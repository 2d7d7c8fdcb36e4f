"""Why an engine died, and whether a request may be the cause."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from front.scripted_daemon import wait_until
from youtu_edge.process_death import is_stopped, judge, oom_kills


@pytest.mark.parametrize(
    ("code", "overdue", "was_stopped", "kills", "reason", "may_be_a_request"),
    [
        (-signal.SIGSEGV, "", False, 0, "signal SIGSEGV", True),
        (1, "", False, 0, "exit code 1", True),
        (-signal.SIGKILL, "", False, 0, "signal SIGKILL (from outside)", False),
        (-signal.SIGKILL, "", False, 1, "signal SIGKILL (out of memory)", True),
        (-signal.SIGKILL, "finished no step for 30.0 s", False, 0, "finished no step for 30.0 s", True),
        (
            -signal.SIGKILL,
            "finished no step for 30.0 s",
            True,
            0,
            "finished no step for 30.0 s, stopped from outside",
            False,
        ),
    ],
)
def test_a_death_is_told_in_words_and_blamed_on_requests_only_where_they_can_be_the_cause(
    code: int, overdue: str, was_stopped: bool, kills: int, reason: str, may_be_a_request: bool
) -> None:
    death = judge(code, overdue=overdue, was_stopped=was_stopped, oom_kills=kills)
    assert (death.reason, death.may_be_a_request) == (reason, may_be_a_request)


def test_a_process_that_stands_still_is_told_from_one_that_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            assert not is_stopped(process.pid)
            os.kill(process.pid, signal.SIGSTOP)
            wait_until(lambda: is_stopped(process.pid))
        finally:
            process.kill()
    assert not is_stopped(process.pid)


def test_out_of_memory_kills_are_read_where_the_kernel_counts_them(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\noom_kill_other 9\n")
    assert oom_kills(tmp_path) == 3
