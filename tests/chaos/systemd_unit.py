"""The daemon as a service of a booted systemd, with the shipped unit's supervision: readiness, watchdog, restarts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from systemd.appliance import engine_pids
from systemd.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "youtu-edge.service"
# Changed are: what it runs (this checkout, as root), a watchdog of 4 s instead of 30, and any number of starts.
DROP_IN = """
[Unit]
StartLimitIntervalSec=0

[Service]
ExecStart=
ExecStart={command}
ExecReload=
{environment}
User=root
Group=root
PrivateUsers=no
PrivateTmp=no
ProtectHome=no
ProtectSystem=no
StateDirectory=
WorkingDirectory=/
WatchdogSec=4
RestartSec=0.1
MemoryHigh=infinity
MemoryMax=2G
"""


class SystemdUnit:
    """As chaos.unit.Unit, in a machine."""

    def __init__(self, machine: Machine, settings: dict[str, object], environment: dict[str, str]) -> None:
        self._machine = machine
        command = f"{sys.executable} -m youtu_edge serve"
        for key, value in settings.items():
            command += f" --set {key}={value}"
        paths = ":".join(str(ROOT / name) for name in ("daemon", "export", "tests"))
        lines = "\n".join(f"Environment={name}={value}" for name, value in (environment | {"PYTHONPATH": paths}).items())
        unit = (ROOT / "systemd" / SERVICE).read_text()
        machine.write(f"/etc/systemd/system/{SERVICE}", unit)
        drop_in = DROP_IN.format(command=command, environment=lines)
        machine.write(f"/etc/systemd/system/{SERVICE}.d/chaos.conf", drop_in)
        machine.run("systemctl", "daemon-reload")

    def start(self) -> None:
        """Begin; returns at once."""
        self._systemctl("start", "--no-block")

    def stop(self) -> int:
        """Shut down cleanly and do not restart; returns the exit code."""
        self._systemctl("stop")
        return int(self._show("ExecMainStatus"))

    def kill(self) -> None:
        """Discard the machine without a shutdown."""

    def signal_front(self, name: str) -> None:
        """Send SIG`name` to the front, if it runs."""
        self._signal(self._front_pid(), name)

    def signal_engine(self, name: str) -> None:
        """Send SIG`name` to the engine, if it runs."""
        for pid in engine_pids(self._machine, self._front_pid()):
            self._signal(pid, name)

    @contextlib.contextmanager
    def while_down(self) -> Iterator[None]:
        """Kill the front and keep it down during the `with` block."""
        self.signal_front("KILL")
        self._systemctl("stop", check=False)
        try:
            yield
        finally:
            self.start()

    @property
    def log(self) -> str:
        """Log of the service and systemd."""
        return self._machine.run("journalctl", "-u", SERVICE, "--no-pager", "-o", "cat", check=False).stdout

    def summary(self) -> str:
        """How often it was started."""
        log = self.log
        starts, watchdogs = log.count("Starting youtu-edge"), log.count("Watchdog timeout")
        return f"systemd started the service {starts} times, {watchdogs} of them after its watchdog was silent"

    def _front_pid(self) -> int:
        return int(self._show("MainPID"))

    def _signal(self, pid: int, name: str) -> None:
        if pid:
            self._machine.run("kill", f"-{name}", str(pid), check=False)

    def _show(self, name: str) -> str:
        return self._machine.run("systemctl", "show", "-P", name, SERVICE).stdout.strip()

    def _systemctl(self, *words: str, check: bool = True) -> None:
        self._machine.run("systemctl", *words, SERVICE, check=check)
