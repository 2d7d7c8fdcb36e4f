"""`youtu-edge logs`: the last lines, those about one request, and new ones as they come; from a file or the journal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from front.command import Terminal, youtu_edge
from front.scripted_daemon import ENVIRONMENT

LINES = [
    "2026-11-28 01:00:00 INFO    ready model=x\n",
    "2026-11-28 01:00:01 ERROR   request_fault id=chatcmpl-1\n",
    "2026-11-28 01:00:02 ERROR   request_fault id=chatcmpl-12\n",
    "2026-11-28 01:00:03 WARNING engine_died lost=[chatcmpl-1,chatcmpl-3]\n",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "daemon.log"
    path.write_text("".join(LINES))
    return path


def test_the_last_lines_of_a_file(log: Path) -> None:
    done = youtu_edge("logs", "--file", str(log), "-n", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "".join(LINES[2:]), "")


def test_the_lines_about_one_request_and_not_about_one_whose_id_begins_alike(log: Path) -> None:
    done = youtu_edge("logs", "--file", str(log), "--request", "chatcmpl-1")
    assert (done.returncode, done.stdout) == (0, LINES[1] + LINES[3])
    done = youtu_edge("logs", "--file", str(log), "--request", "chatcmpl-2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"youtu-edge: {log} has no line about chatcmpl-2\n"


def test_new_lines_are_followed_through_a_rotation_until_ctrl_c(log: Path) -> None:
    terminal = Terminal("logs", "--file", str(log), "-f")
    terminal.read_until("chatcmpl-3]")
    with log.open("a") as file:
        file.write("appended in ")
        file.flush()
        file.write("two parts\n")
    terminal.read_until("appended in two parts")
    log.rename(log.with_suffix(".1"))
    log.write_text("after the rotation\n")
    terminal.read_until("after the rotation")
    log.write_text("cut\n")
    terminal.read_until("cut")
    terminal.write("\x03")
    assert terminal.wait() == 0


def test_the_journal_is_asked_for_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journalctl that prints what it was asked for."""
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho "asked $*"\necho "2026 request_fault id=chatcmpl-7"\n')
    program.chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asked = youtu_edge("logs", "-n", "5").stdout.splitlines()[0]
    assert asked == "asked --unit=youtu-edge --output=short-iso --quiet --no-pager --lines=5"
    assert youtu_edge("logs", "--request", "chatcmpl-7").stdout == "2026 request_fault id=chatcmpl-7\n"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = youtu_edge("logs", "--file", str(tmp_path / "none.log"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"youtu-edge: {tmp_path}/none.log: cannot be read: No such file or directory\n"
