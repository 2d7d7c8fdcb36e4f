"""The command as a technician types it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from front.command import Terminal, youtu_edge
from front.scripted_daemon import ENVIRONMENT, ROOT, Daemon, wait_until
from youtu_edge.__main__ import make_parser
from youtu_edge.cli.chat_commands import COMMANDS


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
    chat.write("<think>so slow repeat:500\n")
    chat.read_until("\x1b[2mso slow rep")
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


def test_every_command_has_its_row_in_the_documents() -> None:
    """Commands, and those of a conversation, with their arguments."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    chat = [f"{name} {argument}".strip() for name, (argument, _) in COMMANDS.items()]
    assert [name for name in [*make_parser().commands(), *chat] if f"`{name}`" not in rows] == []


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from youtu_edge.__main__ import make_parser; make_parser().format_help(); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert not [name for name in ("aiohttp", "msgspec", "yaml", "numpy") if f"'{name}'" in done.stdout]
