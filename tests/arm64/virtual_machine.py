"""A booted ARM64 machine with systemd, emulated by qemu-system-aarch64, with a network to the tests only."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from arm64.machine_image import ADDRESS, COMMAND_PORT, HTTP_PORT, MachineImage
from systemd.machine import wait_until

PROGRAMS = {"qemu-system-aarch64": "qemu-system-arm", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}
"""With the Debian package of each."""
BOOT_S = 600


def why_not() -> str:
    """Why this host cannot run the machine; empty if it can."""
    if os.geteuid() != 0:
        return "the disk of an ARM64 machine is made by root"
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        packages = " ".join(PROGRAMS[name] for name in missing)
        return f"{', '.join(missing)} is not installed; on Debian: apt-get install --no-install-recommends {packages}"
    return ""


class VirtualMachine:
    """Use as a context manager. Disk writes are discarded at the end. `port`: the forwarded HTTP port."""

    def __init__(self, image: MachineImage, directory: Path, cpu: str) -> None:
        self.port, self._command_port = _free_port(), _free_port()
        forwards = ((self.port, HTTP_PORT), (self._command_port, COMMAND_PORT))
        network = "user,id=net,restrict=on" + "".join(
            f",hostfwd=tcp:127.0.0.1:{here}-{ADDRESS}:{there}" for here, there in forwards
        )
        self._console = directory / "console.log"
        self._log = self._console.open("wb")
        options = ["-M", "virt,gic-version=3", "-cpu", cpu, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048"]
        options += ["-display", "none", "-serial", "stdio", "-no-reboot", "-append", "console=ttyAMA0 panic=-1"]
        options += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
        options += ["-drive", f"file={image.disk},if=virtio,format=raw,snapshot=on"]
        options += ["-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="]
        self._process = subprocess.Popen(
            ["qemu-system-aarch64", *options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> VirtualMachine:
        try:
            wait_until(self._is_up, BOOT_S, lambda: "the machine does not boot:\n" + self.console()[-5000:])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Switch it off and discard its state."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def console(self) -> str:
        """Output of the kernel and systemd."""
        return self._console.read_text(errors="replace")

    def run(self, *command: str, check: bool = True, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command inside; its stdout holds stderr as well. `check`: fail the test unless it exits with 0."""
        script = shlex.join(command).encode()
        with socket.create_connection(("127.0.0.1", self._command_port), timeout=timeout_s) as connection:
            connection.sendall(b"%d\n%b" % (len(script), script))
            received, deadline = bytearray(), time.monotonic() + timeout_s
            while piece := connection.recv(65536):
                received += piece
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{command[0]} has not ended after {timeout_s} s")
        said, _, code = received.decode(errors="replace").rpartition("\n")
        if not code:
            raise ConnectionError(f"the machine did not answer to {command[0]}")
        if check and code != "0":
            raise AssertionError(f"{' '.join(command)} exited with {code}:\n{said}")
        return subprocess.CompletedProcess(command, int(code), said)

    def write(self, path: str, text: str) -> None:
        """Replace a file in the guest, readable by all users."""
        self.run("sh", "-c", f"umask 022; mkdir -p $(dirname {path}) && printf %s {shlex.quote(text)} >{path}")

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"qemu exited with {self._process.returncode}:\n{self.console()[-5000:]}")
        try:
            state = self.run("systemctl", "is-system-running", check=False, timeout_s=20).stdout
        except OSError:  # not listening yet
            return False
        return state.strip() in {"running", "degraded"}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
