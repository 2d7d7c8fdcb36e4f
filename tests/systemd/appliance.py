"""youtu-edge installed as a service in a booted machine."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

from daemon_process import Client
from systemd.machine import Machine, wait_until

CONFIG = "/etc/youtu-edge/youtu-edge.yaml"
UNIT = "/etc/systemd/system/youtu-edge.service"
PACKAGE = "/var/lib/youtu-edge/models/tiny"
SERVICE = "youtu-edge.service"


def engine_pids(machine: Machine, front_pid: int) -> list[int]:
    """Process ids of the front's engines inside the machine: at most one, none while it starts.

    A child by its name, because systemd forks another one (for PrivateUsers) before it executes the front.
    """
    if not front_pid:
        return []
    found = machine.run("pgrep", "-P", str(front_pid), "-f", "youtu_edge[.]engine", check=False).stdout.split()
    return [int(pid) for pid in found]


class Appliance(Client):
    """The service of a machine, seen by systemctl, its journal and HTTP."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def write_config(self, **settings: object) -> None:
        """The site's file; `settings` are config keys with "__" for the dot, on top of a small board's."""
        values: dict[str, object] = {
            "model__path": PACKAGE,
            "memory__limit": "400M",
            "service__port": self.port,
            "service__step_deadline_s": 5,
            "engine__threads": 1,
        }
        sections: dict[str, dict[str, object]] = {}
        for name, value in (values | settings).items():
            section, _, key = name.partition("__")
            sections.setdefault(section, {})[key] = value
        self.machine.write(CONFIG, "".join(f"{name}: {json.dumps(keys)}\n" for name, keys in sections.items()))

    def configure(self, **settings: object) -> None:
        """`write_config`, and the unit that follows from it."""
        self.write_config(**settings)
        self.machine.run("sh", "-c", f"youtu-edge render-unit >{UNIT} && systemctl daemon-reload")

    def start(self) -> None:
        """Restart with a fresh start limit; returns when it is ready, fails with its log if it does not get there."""
        self.systemctl("reset-failed", check=False)
        done = self.systemctl("restart", check=False)
        assert done == 0, self.journal()

    def systemctl(self, verb: str, *options: str, check: bool = True, timeout_s: float = 90) -> int:
        """Exit code of a systemctl command on the service."""
        return self.machine.run("systemctl", verb, *options, SERVICE, check=check, timeout_s=timeout_s).returncode

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.run("systemctl", "show", "-P", name, SERVICE).stdout.strip()

    def journal(self, cursor: str = "") -> str:
        """Log lines of systemd and the service, all of them or those after `cursor`."""
        after = [f"--after-cursor={cursor}"] if cursor else []
        return self.machine.run("journalctl", "-u", SERVICE, "--no-pager", "-o", "cat", *after).stdout

    def cursor(self) -> str:
        """Where the journal ends now; empty, which means its beginning, while it has no line of the service."""
        command = ("journalctl", "-u", SERVICE, "--no-pager", "-n", "0", "--show-cursor")
        shown = self.machine.run(*command, check=False).stdout
        return shown.partition("-- cursor: ")[2].strip()

    @property
    def front_pid(self) -> int:
        """Process id inside the machine; 0 while there is none."""
        return int(self.show("MainPID"))

    def engine_pid(self, *, other_than: int = 0) -> int:
        """Process id of the running engine inside the machine, once there is one, and another one than the one given."""
        found: list[int] = []

        def is_there() -> bool:
            found[:] = [pid for pid in engine_pids(self.machine, self.front_pid) if pid != other_than]
            return bool(found)

        wait_until(is_there, 60, self.journal)
        return found[0]

    def memory_bytes(self) -> int:
        """Proportional set size of front and engine together, as the kernel counts it now."""
        total = 0
        for pid in (self.front_pid, self.engine_pid()):
            shown = self.machine.run("cat", f"/proc/{pid}/smaps_rollup", check=False)
            found = re.search(r"(?m)^Pss: +(\d+) kB$", shown.stdout)
            assert found, f"process {pid} has ended:\n{self.journal()[-3000:]}"
            total += int(found[1]) * 1024
        return total

    def kill(self, signal: str, pid: int) -> None:
        """Send a signal; does nothing if the process has exited."""
        self.machine.run("kill", f"-{signal}", str(pid), check=False)

    def wait_until_stopped(self, pid: int) -> None:
        """Wait until a process that was sent SIGSTOP, or sent it to itself, has stopped: SIGCONT before is lost."""

        def state() -> str:
            return self.machine.run("cat", f"/proc/{pid}/stat", check=False).stdout.rpartition(")")[2].strip()[:1]

        wait_until(lambda: state() == "T", 60, lambda: f"process {pid} is {state() or 'gone'}\n{self.journal()}")

    def wait_for(self, name: str, *values: str, timeout_s: float = 60) -> None:
        """Until a property of the unit has one of the values."""
        wait_until(lambda: self.show(name) in values, timeout_s, lambda: f"{name} is {self.show(name)}\n{self.journal()}")

    def ask(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST /chat; (0, {}) while the port is not bound."""
        try:
            return self.post("/chat", body)
        except OSError:
            return 0, {}


def place_package(machine: Machine, package: Path) -> None:
    """Copy a model package into the machine, where write_config says it is."""
    (machine.out / "package").mkdir()
    for file in package.iterdir():
        (machine.out / "package" / file.name).write_bytes(file.read_bytes())
    machine.run("cp", "-r", "/out/package", PACKAGE)
    machine.run("chown", "-R", "youtu-edge:", PACKAGE)
