"""`youtu-edge chat`: a conversation in the terminal, streamed. With a pipe as input, one question per line.

The model's thoughts are dimmed in a terminal, and left out of pipes and files. Lines that begin with a slash are commands.

Uses only the standard library, so that it starts at once on a small board.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from youtu_edge.cli.chat_commands import is_command, run_command
from youtu_edge.cli.conversation import Conversation, Piece
from youtu_edge.cli.daemon_client import DaemonClient, trust
from youtu_edge.errors import YoutuEdgeError, one_line

_HELP = "/help shows the commands, /exit leaves, Ctrl-C stops an answer"
_HISTORY_LINES = 1000


def run(url: str, system: str, key_file: str | None = None, ca_file: str | None = None) -> int:
    """Run the conversation until /exit or the end of input. Raises YoutuEdgeError; in a terminal only before it begins."""
    client = DaemonClient(url, key_file, trust(ca_file) if ca_file else None)
    conversation = Conversation(client, system)
    interactive = sys.stdin.isatty()
    with _history() if interactive else contextlib.nullcontext():
        if interactive:
            print(f"{conversation.model_name()} at {url}\n{_HELP}.")
        for line in _lines(interactive):
            if line == "/exit":
                break
            try:
                _obey(line, conversation, interactive=interactive)
            except YoutuEdgeError as error:
                if not interactive:
                    raise
                print(f"youtu-edge: {one_line(error.message)}\n", file=sys.stderr, flush=True)
    return 0


def _obey(line: str, conversation: Conversation, *, interactive: bool) -> None:
    """Execute a command, or answer a question."""
    if is_command(line):
        told = run_command(line, conversation)
        if interactive or line == "/help":
            print(f"{told}\n", flush=True)
        return
    try:
        _print_answer(conversation.ask(line.removeprefix("/") if line.startswith("//") else line))
    except KeyboardInterrupt:
        print(" [stopped]", end="")
    else:
        if sys.stdout.isatty() and conversation.speed:
            faint, normal = _faint()
            print(f"\n{faint}[{conversation.speed}]{normal}", end="")
    print("\n" if interactive else "", flush=True)


def _print_answer(pieces: Iterator[Piece]) -> None:
    terminal = sys.stdout.isatty()
    faint, normal = _faint()
    thinking = False
    try:
        for text, is_thought in pieces:
            if is_thought and not terminal:
                continue
            if is_thought != thinking:
                print(faint if is_thought else f"{normal}\n\n", end="")
                thinking = is_thought
            print(text, end="", flush=True)
    finally:
        if thinking:
            print(normal, end="")


def _faint() -> tuple[str, str]:
    """What switches faint text on and off in this terminal."""
    return ("\x1b[2m", "\x1b[22m") if os.environ.get("TERM", "dumb") != "dumb" else ("", "")


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Line editing, and the questions of earlier conversations, where Python has readline and the file can be used."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(state):  # a user without a home
        yield
        return
    path = os.path.join(state, "youtu-edge", "chat_history")
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))  # others must not read the questions
            readline.set_history_length(_HISTORY_LINES)
            readline.write_history_file(path)


def _lines(interactive: bool) -> Iterator[str]:
    """What the user enters, without empty lines."""
    while True:
        try:
            line = input("> " if interactive else "").strip()
        except EOFError:
            if interactive:
                print()
            return
        except KeyboardInterrupt:  # at the prompt: drop the line, as shells do
            if not interactive:
                raise
            print()
            continue
        if line:
            yield line
