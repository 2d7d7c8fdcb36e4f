"""The socket that systemd listens on, played by a test."""

from __future__ import annotations

import socket


class Notifications:
    """What the daemon tells systemd."""

    def __init__(self, notify: socket.socket) -> None:
        self._notify = notify
        self.told: list[str] = []

    def wait_for(self, text: str) -> str:
        """The next message that contains the text."""
        while True:
            self.told.append(self._notify.recv(4096).decode())
            if text in self.told[-1]:
                return self.told[-1]
