"""Fresh systems made by mmdebstrap, with only the packages that the guide installs.

`unpacked` systems hold Debian's packages as they are in the archive, without their installation scripts: that takes a third
of the time, and needs no emulation for another processor.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIRRORS = {"debian": "http://deb.debian.org/debian", "ubuntu": "http://archive.ubuntu.com/ubuntu"}
UBUNTU_KEYS = Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")

SUDO = """#!/bin/sh
# Stands for the package sudo, which cannot work before its installation scripts have run.
if [ "$1" = -u ]; then
    user=$2
    shift 2
    exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
fi
exec "$@"
"""


@dataclass(frozen=True)
class System:
    """What a board may have."""

    name: str
    distribution: str
    suite: str
    python: str
    """Version of the Python that the guide uses on it."""
    guide: str = "generic"
    processor: str = "x86_64"
    is_unpacked: bool = False

    @property
    def is_foreign(self) -> bool:
        """Runs emulated here."""
        return self.processor != platform.machine()


SYSTEMS = {
    system.name: system
    for system in (
        System("debian-12-unpacked", "debian", "bookworm", "3.11", is_unpacked=True),
        System("debian-12", "debian", "bookworm", "3.11"),
        System("ubuntu-22.04", "ubuntu", "jammy", "3.11", guide="orin-nx"),
        System("ubuntu-24.04", "ubuntu", "noble", "3.12"),
        System("debian-12-arm64", "debian", "bookworm", "3.11", guide="rk3588", processor="aarch64", is_unpacked=True),
    )
}


def why_not(system: System) -> str:
    """Why this host cannot make it; empty if it can."""
    if os.geteuid() != 0:
        return "making a system needs root"
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is not installed"
    if not (Path("/etc/debian_version").exists() and shutil.which("dpkg")):
        return "this machine is no Debian or Ubuntu"
    if platform.machine() != "x86_64":
        return "the systems are made on x86-64"
    emulator = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    if system.is_foreign and not emulator.exists():
        return "no emulator runs ARM64 programs here (packages qemu-user-static and binfmt-support, binfmt_misc mounted)"
    return ""


def make_root(system: System, packages: list[str], root: Path) -> None:
    """The new directory `root`: a minimal system, systemd, these packages. Raises AssertionError with what apt says."""
    command = ["mmdebstrap", "--quiet", f"--variant={'extract' if system.is_unpacked else 'minbase'}"]
    # Every image of a board has these; udev brings the group render.
    included = [*packages, "systemd-sysv", *(["passwd", "mount"] if system.is_unpacked else ["sudo", "udev"])]
    command += [f"--include={','.join(included)}", "--dpkgopt=force-unsafe-io"]
    if system.is_unpacked:
        command += ["--include=?essential", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    if system.is_foreign:
        command += ["--arch=arm64"]
    command += [system.suite, str(root), *_sources(system)]
    # Debian's own Python knows nothing of this machine's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert made.returncode == 0, f"{' '.join(command)}\n{made.stdout[-2000:]}{made.stderr[-3000:]}"
    if system.is_unpacked:
        _configure(root)


def _sources(system: System) -> list[str]:
    mirror = MIRRORS[system.distribution]
    if system.distribution == "debian":
        return [mirror]
    # Debian has Ubuntu's keys in a package of some releases only. What is made here is thrown away after the test.
    trust = f"signed-by={UBUNTU_KEYS}" if UBUNTU_KEYS.exists() else "trusted=yes"
    return [f"deb [{trust}] {mirror} {suite} main universe" for suite in (system.suite, f"{system.suite}-updates")]


def _configure(root: Path) -> None:
    """The least that installation scripts of Debian would have done."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    shell = root / "usr/bin/sh"
    shell.unlink(missing_ok=True)
    shell.symlink_to("dash")
    sudo = root / "usr/local/bin/sudo"
    sudo.parent.mkdir(parents=True, exist_ok=True)
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
