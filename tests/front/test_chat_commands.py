"""The commands of `youtu-edge chat`, and what only a terminal shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from front.command import Terminal, youtu_edge
from front.scripted_daemon import Daemon


def chat(daemon: Daemon, text: str, *arguments: str) -> tuple[int, str, str]:
    """With a pipe as input: exit code, answers, errors."""
    done = youtu_edge("chat", "--url", f"http://127.0.0.1:{daemon.port}", *arguments, text=text)
    return done.returncode, done.stdout, done.stderr


def test_system_changes_the_system_message_and_keeps_the_conversation(daemon: Daemon) -> None:
    """Without a text it removes it; /clear keeps it."""
    code, out, err = chat(daemon, "one\n/system be brief\nrecall\n/clear\nrecall\n/system\n/clear\nrecall\n")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["one", "be brief|one|one|recall", "be brief|recall", "recall"]


def test_save_writes_markdown_or_json_and_never_overwrites(daemon: Daemon, tmp_path: Path) -> None:
    markdown, document = tmp_path / "talk.md", tmp_path / "talk.json"
    code, _, err = chat(daemon, f"one\n/save {markdown}\n/save {document}\n/save {markdown}\n", "--system", "brief")
    assert (code, err) == (1, f"youtu-edge: {markdown}: exists; choose another name\n")
    assert markdown.read_text() == "## System\n\nbrief\n\n## Question\n\none\n\n## Answer\n\none\n"
    assert json.loads(document.read_text()) == {
        "messages": [
            {"role": "system", "content": "brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "one"},
        ]
    }


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("/hepl", "'/hepl' is not a command; did you mean '/help'?"),
        ("/etc/passwd", "'/etc/passwd' is not a command; /help shows the commands"),
        ("/clear all", "/clear takes no argument"),
        ("/exit now", "/exit takes no argument"),
        ("/save", "/save needs the name of a file"),
        ("/save x", "the conversation is empty"),
    ],
)
def test_a_command_that_cannot_be_executed_is_one_line_and_is_not_asked(daemon: Daemon, line: str, error: str) -> None:
    code, out, err = chat(daemon, f"{line}\n")
    assert (code, out) == (1, "")
    assert err.startswith(f"youtu-edge: {error}")
    assert err.count("\n") == 1


def test_a_directory_that_is_missing_is_named(daemon: Daemon, tmp_path: Path) -> None:
    code, _, err = chat(daemon, f"one\n/save {tmp_path}/absent/x\n")
    assert (code, err) == (1, f"youtu-edge: {tmp_path}/absent/x: cannot be written: No such file or directory\n")


def test_two_slashes_begin_a_question_with_one(daemon: Daemon) -> None:
    assert chat(daemon, "//etc/passwd\n") == (0, "/etc/passwd\n", "")


def test_a_terminal_goes_on_after_a_wrong_command_and_shows_the_speed(daemon: Daemon) -> None:
    terminal = Terminal("chat", "--url", f"http://127.0.0.1:{daemon.port}")
    terminal.read_until("/help shows the commands, /exit leaves, Ctrl-C stops an answer.")
    terminal.write("/sytem be brief\n")
    terminal.read_until("youtu-edge: '/sytem' is not a command; did you mean '/system'?")
    terminal.write("/help\n")
    terminal.read_until("/save FILE ")
    terminal.write("slow hello\n")
    terminal.read_until("\r\nslow hello\r\n[10 tokens, ")
    terminal.read_until(" tokens/s]")
    terminal.write("/exit\n")
    assert terminal.wait() == 0


def test_the_questions_of_the_last_conversation_can_be_called_up(daemon: Daemon, tmp_path: Path) -> None:
    """By the arrow key, where Python has readline; only their owner may read them."""
    pytest.importorskip("readline")
    url = f"http://127.0.0.1:{daemon.port}"
    for typed in ("an earlier question\n", "\x1b[A\x1b[A\n"):  # above it is /exit
        terminal = Terminal("chat", "--url", url, term="xterm", state=str(tmp_path))
        terminal.read_until("> ")
        terminal.write(typed)
        terminal.read_until("an earlier question\r\n")
        terminal.read_until("an earlier question")
        terminal.read_until("> ")
        terminal.write("/exit\n")
        assert terminal.wait() == 0
    history = tmp_path / "youtu-edge" / "chat_history"
    assert history.stat().st_mode & 0o777 == 0o600
