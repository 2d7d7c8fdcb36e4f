"""A minimal stand-in for systemd: restarts the daemon after any death and kills it when its watchdog expires."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

WATCHDOG_S = 4.0
_RESTART_S = 0.1


class Unit:
    """`youtu-edge serve` with these settings, from `start` to `stop`."""

    def __init__(self, directory: Path, settings: dict[str, object], environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "youtu_edge", "serve"]
        for key, value in settings.items():
            self._command += ["--set", f"{key}={value}"]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(directory / "notify"))
        self._socket.settimeout(0.2)
        self._environment = os.environ | environment | {
            "NOTIFY_SOCKET": str(directory / "notify"),
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
        }  # fmt: skip
        self._log_path = directory / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._held = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._starts = 0
        self._watchdog_kills = 0

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> int:
        """Shut down cleanly and do not restart; returns the exit code."""
        self._stopping.set()
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        self._thread.join(60)
        assert process.returncode is not None, "the daemon does not stop"
        return process.returncode

    def kill(self) -> None:
        """Kill all processes, whatever their state."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal_front(self, name: str) -> None:
        """Send SIG`name` to the front, if it runs."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.Signals[f"SIG{name}"])

    def signal_engine(self, name: str) -> None:
        """Send SIG`name` to the engine, if it runs."""
        front = self._process.pid if self._process else 0
        with contextlib.suppress(OSError, IndexError):
            children = Path(f"/proc/{front}/task/{front}/children").read_text().split()
            os.kill(int(children[0]), signal.Signals[f"SIG{name}"])

    @property
    def log(self) -> str:
        """Log of all its runs."""
        return self._log_path.read_text(errors="replace")

    def summary(self) -> str:
        """How often it was started."""
        return f"{self._starts} starts of the daemon, {self._watchdog_kills} of them after its watchdog was silent"

    @contextlib.contextmanager
    def while_down(self) -> Iterator[None]:
        """Kill the front and keep it down during the `with` block."""
        with self._held:
            process = self._process
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()
            yield

    def _run(self) -> None:
        with self._log_path.open("ab") as log:
            while not self._stopping.is_set():
                with self._held:
                    self._process = subprocess.Popen(
                        self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment
                    )
                    self._starts += 1
                self._watch(self._process)
                time.sleep(_RESTART_S)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        heard, is_ready = time.monotonic(), False
        while process.poll() is None:
            try:
                message = self._socket.recv(4096)
                heard, is_ready = time.monotonic(), is_ready or b"READY=1" in message
            except TimeoutError:
                pass
            limit = WATCHDOG_S if is_ready else 60.0
            if time.monotonic() - heard > limit:
                self._watchdog_kills += 1
                process.kill()
        process.wait()
