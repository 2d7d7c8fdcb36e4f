"""serve_scripted.py on a machine that gets its address late: binding fails until the file $ADDRESS_FILE exists."""

from __future__ import annotations

import errno
import os
import runpy
import socket
from pathlib import Path
from typing import Any


class LateSocket(socket.socket):
    """The kernel's answer while no interface has the address."""

    def bind(self, address: Any) -> None:
        """As bind(2)."""
        if self.family != socket.AF_UNIX and not os.path.exists(os.environ["ADDRESS_FILE"]):
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        super().bind(address)


if __name__ == "__main__":
    socket.socket = LateSocket  # type: ignore[misc]
    runpy.run_path(str(Path(__file__).with_name("serve_scripted.py")), run_name="__main__")
