"""Three daemons with the scripted engine, as boards of a fleet: killed, started again, stopped, frozen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from front.scripted_daemon import Daemon

NAMES = ("line-1", "line-2", "line-3")


class Board:
    """One daemon with a port, a name and a data directory that stay when it is started again."""

    def __init__(self, name: str, port: int, directory: Path) -> None:
        self.name = name
        self.port = port
        self._directory = directory
        self.daemon = self._start()

    def _start(self) -> Daemon:
        return Daemon(
            f"service.board={self.name}",
            f"service.port={self.port}",
            f"storage.directory={self._directory}",
            "storage.synchronous=normal",
            "service.trusted_proxies=[127.0.0.1]",
            "service.drain_delay_s=3",
            "service.drain_s=30",
        )

    def start_again(self) -> None:
        """After `kill` or `stop`."""
        self.daemon = self._start()
        self.daemon.wait_ready()

    def kill(self) -> None:
        """SIGKILL, as a power cut does it."""
        self.daemon.process.kill()
        self.daemon.wait_exit()

    def stop(self) -> int:
        """SIGTERM, as systemd does it; the exit status."""
        return self.daemon.stop()

    def freeze(self) -> None:
        """It accepts connections, as the kernel does that, and does not answer."""
        os.kill(self.daemon.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """End of `freeze`."""
        os.kill(self.daemon.process.pid, signal.SIGCONT)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def boards(directory: Path) -> Iterator[list[Board]]:
    """Three boards that are ready."""
    started: list[Board] = []
    try:
        for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True):
            data = directory / name
            data.mkdir()
            started.append(Board(name, port, data))
        for board in started:
            board.daemon.wait_ready()
        yield started
    finally:
        for board in started:
            if board.daemon.process.returncode is None:
                board.kill()
