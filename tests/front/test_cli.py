"""The command as a technician types it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from front.scripted_daemon import PATHS, Daemon, wait_until

ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS, "TERM": "dumb"}


def youtu_edge(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "youtu_edge", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


def test_chat_answers_one_piped_question_per_line(daemon: Daemon) -> None:
    done = youtu_edge("chat", "--url", f"http://127.0.0.1:{daemon.port}", text="one\n\ntwo\n/clear\n/exit\nthree\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")


def test_chat_without_a_daemon_is_one_line() -> None:
    done = youtu_edge("chat", "--url", "http://127.0.0.1:1", text="hello\n")
    assert done.returncode == 1
    assert done.stderr.startswith("youtu-edge: no answer from http://127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_in_a_terminal_stops_the_answer_and_not_the_conversation(daemon: Daemon) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        arguments = [sys.executable, "-m", "youtu_edge", "chat", "--url", f"http://127.0.0.1:{daemon.port}"]
        os.execve(sys.executable, arguments, ENVIRONMENT)
    seen = ""

    def read_until(wanted: str) -> None:
        nonlocal seen
        while wanted not in seen:
            seen += os.read(terminal, 4096).decode()

    read_until("> ")
    assert seen.startswith("scripted at http://127.0.0.1:")
    os.write(terminal, b"slow repeat:500\n")
    read_until("slow repeat:500slow rep")
    os.write(terminal, b"\x03")
    read_until(" [stopped]")
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)
    os.write(terminal, b"still here\n")
    read_until("still here\r\nstill here")
    os.write(terminal, b"/exit\n")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)


def test_a_model_directory_that_is_no_package_is_named_with_exit_code_78(tmp_path: Path) -> None:
    for action in ("show", "verify"):
        done = youtu_edge("model", action, str(tmp_path))
        assert done.returncode == 78
        assert done.stderr == f"youtu-edge: {tmp_path}: no manifest.json: not a model package; make one with youtu-export\n"


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from youtu_edge.__main__ import make_parser; make_parser().format_help(); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert not [name for name in ("aiohttp", "msgspec", "yaml", "numpy") if f"'{name}'" in done.stdout]
