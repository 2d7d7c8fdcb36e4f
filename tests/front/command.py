"""The command `youtu-edge` as a process, with pipes or in a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios

from front.scripted_daemon import ENVIRONMENT


def youtu_edge(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run it to its end, with pipes."""
    command = [sys.executable, "-m", "youtu_edge", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str, term: str = "dumb", state: str = os.devnull) -> None:
        """`state`: XDG_STATE_HOME; in os.devnull nothing can be kept."""
        self.seen, self._read = "", 0
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            # On Ctrl-C a terminal sends the signal and then drops what waits to be shown: now and then what the command
            # has answered to the signal. With NOFLSH it drops nothing.
            attributes = termios.tcgetattr(0)
            attributes[3] |= termios.NOFLSH
            termios.tcsetattr(0, termios.TCSANOW, attributes)
            environment = {**ENVIRONMENT, "TERM": term, "XDG_STATE_HOME": state}
            os.execve(sys.executable, [sys.executable, "-m", "youtu_edge", *arguments], environment)

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
