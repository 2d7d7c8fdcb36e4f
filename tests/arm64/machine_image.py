"""The parts of an ARM64 machine, made without running any of them: a kernel, an initrd, a disk with Debian 12."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

_DEBIAN = (
    "linux-image-cloud-arm64", "busybox-static", "systemd", "systemd-sysv", "python3", "python3-venv", "libstdc++6",
    "iproute2", "procps", "util-linux", "mount", "kmod", "dash", "bash", "coreutils", "findutils", "grep", "sed", "tar",
    "gzip", "passwd", "login", "base-passwd", "libc-bin",
)  # fmt: skip
_MODULES = (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "failover",
    "net_failover", "virtio_net",
)  # fmt: skip
"""For disk and network, each after those that it needs: a Debian that was only unpacked has no index for modprobe."""
ADDRESS = "10.0.2.15"
"""The machine's own in qemu's network."""
COMMAND_PORT, HTTP_PORT = 9000, 8080

_INIT = """#!/bin/sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in MODULES; do /bin/busybox insmod /modules/$module.ko; done
while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /system
/bin/busybox mount --move /dev /system/dev
exec /bin/busybox switch_root /system /lib/systemd/systemd
"""
_COMMAND = """#!/bin/sh
# The first line says how many bytes of a shell script follow; what it prints is sent, then a line with its exit code.
read -r size
script=$(head -c "$size")
sh -c "$script" </dev/null 2>&1
printf '\\n%d' $?
"""
_FILES = {
    "etc/hostname": "board\n",
    "etc/hosts": "127.0.0.1 localhost board\n",
    "etc/machine-id": "",
    "etc/fstab": "",
    "usr/local/sbin/command": _COMMAND,
    "etc/systemd/system/network.service": f"""[Unit]
DefaultDependencies=no
Before=sockets.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip link set lo up
ExecStart=/sbin/ip link set eth0 up
ExecStart=/sbin/ip address add {ADDRESS}/24 dev eth0
""",
    "etc/systemd/system/command.socket": f"[Socket]\nListenStream={COMMAND_PORT}\nAccept=yes\n",
    "etc/systemd/system/command@.service": "[Service]\nExecStart=/usr/local/sbin/command\n"
    "StandardInput=socket\nStandardOutput=socket\nStandardError=journal\nCollectMode=inactive-or-failed\n"
    "Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8\n",
    # The service listens on 127.0.0.1, as it does by default; this is how qemu's network reaches it.
    "etc/systemd/system/http.socket": f"[Socket]\nListenStream={ADDRESS}:{HTTP_PORT}\nFreeBind=yes\n",
    "etc/systemd/system/http.service": f"[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd 127.0.0.1:{HTTP_PORT}\n",
}
_ENABLED = ("network.service", "command.socket", "http.socket")
_MASKED = ("serial-getty@ttyAMA0.service", "getty@tty1.service", "systemd-networkd-wait-online.service")


class MachineImage:
    """Made by `make` below `home`: `kernel`, `initrd`, `disk`. `shown`: directories of this machine, copied to the disk."""

    def __init__(self, home: Path) -> None:
        self.home, self.root = home, home / "root"
        self.kernel, self.initrd, self.disk = home / "kernel", home / "initrd", home / "disk"

    def make(self, shown: dict[Path, str]) -> None:
        """Reuses the Debian tree of an earlier call and rebuilds the rest. Raises CalledProcessError."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.kernel.exists():
            self._make_debian()
        self._configure()
        self._make_initrd()
        for source, inside in shown.items():
            shutil.rmtree(self.root / inside, ignore_errors=True)
            shutil.copytree(source, self.root / inside)
        self.disk.unlink(missing_ok=True)
        options = ["-q", "-t", "ext4", "-d", self.root, "-E", "root_owner=0:0", self.disk, "2G"]
        subprocess.run(["mke2fs", *options], check=True)

    def _make_debian(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        hooks = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
        options = ["--quiet", "--variant=extract", "--arch=arm64", hooks, f"--include={','.join(_DEBIAN)}"]
        subprocess.run(["mmdebstrap", *options, "bookworm", self.root], check=True)
        for name in ("passwd", "group"):  # what the package would do when it is configured
            shutil.copy2(self.root / f"usr/share/base-passwd/{name}.master", self.root / "etc" / name)
        shutil.copy2(next(self.root.glob("boot/vmlinuz-*")), self.kernel)

    def _configure(self) -> None:
        for name, text in _FILES.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        (self.root / "usr/local/sbin/command").chmod(0o755)
        units = self.root / "etc/systemd/system"
        for unit in _MASKED:
            _link(units / unit, "/dev/null")
        for unit in _ENABLED:
            target = "multi-user.target" if unit.endswith(".service") else "sockets.target"
            _link(units / f"{target}.wants" / unit, f"/etc/systemd/system/{unit}")
        _link(units / "default.target", "/lib/systemd/system/multi-user.target")

    def _make_initrd(self) -> None:
        modules = {path.stem: path for path in self.root.glob("usr/lib/modules/*/kernel/**/*.ko")}
        entries: list[tuple[str, int, bytes]] = [(name, 0o040755, b"") for name in ("bin", "dev", "modules", "system")]
        entries.append(("bin/busybox", 0o100755, (self.root / "usr/bin/busybox").read_bytes()))
        entries.append(("bin/sh", 0o120777, b"busybox"))
        entries += [(f"modules/{name}.ko", 0o100644, modules[name].read_bytes()) for name in _MODULES]
        entries.append(("init", 0o100755, _INIT.replace("MODULES", " ".join(_MODULES)).encode()))
        self.initrd.write_bytes(gzip.compress(archive(entries), compresslevel=1))


def archive(entries: list[tuple[str, int, bytes]]) -> bytes:
    """An initrd: name, mode and content of each file, in the kernel's format ("newc" of cpio)."""
    written = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        written += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        written += b"\0" * (-len(written) % 4) + content
        written += b"\0" * (-len(written) % 4)
    return bytes(written)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
