"""A shell in tmux, as a person sees it: 80 columns, 24 rows, keys."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from front.scripted_daemon import ENVIRONMENT, wait_until

COLUMNS = 80


class Tmux:
    """One session in `directory`. Use as a context manager. `youtu-edge` is that of this checkout."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "tmux"
        program = directory / "bin" / "youtu-edge"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m youtu_edge "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        environment = {name: value for name, value in ENVIRONMENT.items() if name != "TMUX"}
        environment |= {"TERM": "xterm", "PS1": "$ ", "PROMPT_COMMAND": 'echo "[$?]"'}
        environment["PATH"] = f"{program.parent}:{environment['PATH']}"
        size = ("-x", str(COLUMNS), "-y", "24")
        subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", "new-session", "-d", *size, "bash --norc --noprofile"],
            env={**environment, "XDG_STATE_HOME": str(directory)},
            cwd=directory,
            check=True,
        )
        self.finished()

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._tmux("kill-server")

    def keys(self, *keys: str) -> None:
        """tmux's names, such as Enter and C-c; other words are typed."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """What is seen, and what has scrolled away."""
        return self._tmux("capture-pane", "-p", "-S", "-500")

    def wait(self, text: str) -> str:
        """The screen, once it has `text`."""
        wait_until(lambda: text in self.screen(), 300)
        return self.screen()

    def run(self, command: str) -> tuple[str, int]:
        """What a command shows, with the line that was typed, and its exit code."""
        self.begin(command)
        return self.finished()

    def begin(self, command: str) -> None:
        """Type it on an empty screen."""
        self.keys("-R")
        self._tmux("clear-history")
        self.type(command)

    def type(self, line: str) -> None:
        """The line, and Enter."""
        self.keys("-l", line)
        self.keys("Enter")

    def finished(self) -> tuple[str, int]:
        """The same for a command that has begun: the shell tells the code before its next prompt."""
        wait_until(lambda: re.search(r"^\[\d+\]$", self.screen(), re.MULTILINE), 300)
        shown, code, _ = re.split(r"^\[(\d+)\]$", self.screen(), maxsplit=1, flags=re.MULTILINE)
        return f"$ {shown}", int(code)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
