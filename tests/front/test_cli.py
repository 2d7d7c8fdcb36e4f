"""The command as a technician types it."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import termios
from pathlib import Path

from front.scripted_daemon import ENVIRONMENT, Daemon, wait_until


def youtu_edge(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "youtu_edge", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str, term: str = "dumb") -> None:
        self.seen, self._read = "", 0
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            # On Ctrl-C a terminal sends the signal and then drops what waits to be shown: now and then what the command
            # has answered to the signal. With NOFLSH it drops nothing.
            attributes = termios.tcgetattr(0)
            attributes[3] |= termios.NOFLSH
            termios.tcsetattr(0, termios.TCSANOW, attributes)
            os.execve(sys.executable, [sys.executable, "-m", "youtu_edge", *arguments], {**ENVIRONMENT, "TERM": term})

    def write(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def read_until(self, wanted: str) -> None:
        """Read until `wanted` stands behind what earlier calls waited for."""
        while (found := self.seen.find(wanted, self._read)) < 0:
            assert select.select([self._terminal], [], [], 60)[0], f"no {wanted!r} in {self.seen[self._read :]!r}"
            self.seen += os.read(self._terminal, 4096).decode()
        self._read = found + len(wanted)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        status = os.waitpid(self._pid, 0)[1]
        os.close(self._terminal)
        return status


def test_health_tells_whether_the_daemon_is_ready(daemon: Daemon) -> None:
    """By its exit code, and in words why not."""
    done = youtu_edge("health", "--set", f"service.port={daemon.port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        done = youtu_edge("health", "--set", f"service.port={port}")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"no answer from 127.0.0.1 port {port}\n", "")


def test_chat_answers_one_piped_question_per_line(daemon: Daemon) -> None:
    done = youtu_edge("chat", "--url", f"http://127.0.0.1:{daemon.port}", text="one\n\ntwo\n/clear\n/exit\nthree\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")


def test_thoughts_are_not_written_into_a_pipe(daemon: Daemon) -> None:
    done = youtu_edge("chat", "--url", f"http://127.0.0.1:{daemon.port}", text="<think>hm, so</think>yes\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "yes\n", "")


def test_chat_without_a_daemon_is_one_line() -> None:
    done = youtu_edge("chat", "--url", "http://127.0.0.1:1", text="hello\n")
    assert done.returncode == 1
    assert done.stderr.startswith("youtu-edge: no answer from http://127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_in_a_terminal_stops_the_answer_and_not_the_conversation(daemon: Daemon) -> None:
    chat = Terminal("chat", "--url", f"http://127.0.0.1:{daemon.port}")
    chat.read_until("> ")
    assert chat.seen.startswith("scripted at http://127.0.0.1:")
    chat.write("slow repeat:500\n")
    chat.read_until("slow repeat:500slow rep")
    chat.write("\x03")
    chat.read_until(" [stopped]")
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)
    chat.write("still here\n")
    chat.read_until("still here\r\nstill here")
    chat.write("/exit\n")
    assert chat.wait() == 0


def test_thoughts_are_faint_in_a_terminal_also_when_they_are_stopped(daemon: Daemon) -> None:
    chat = Terminal("chat", "--url", f"http://127.0.0.1:{daemon.port}", term="xterm")
    chat.read_until("> ")
    chat.write("<think>hm, so</think>yes\n")
    chat.read_until("\x1b[2mhm, so\x1b[22m\r\n\r\nyes")
    chat.read_until("> ")
    chat.write("<think>slow repeat:500\n")
    chat.read_until("\x1b[2mslow rep")
    chat.write("\x03")
    chat.read_until("\x1b[22m [stopped]")
    chat.write("/exit\n")
    assert chat.wait() == 0


def test_a_model_directory_that_is_no_package_is_named_with_exit_code_78(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
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
