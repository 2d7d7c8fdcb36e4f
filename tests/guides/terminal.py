"""Where the commands of a guide are run: one session of a shell in a fresh system that has no network.

A booted machine has systemd as its first process. A change of root has none, and works for an emulated processor as well:

    unshare --net --mount --pid   loopback only; mounts and processes that end with the session
      overlay in memory           the root stays as it was
        chroot /bin/sh            the session
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from systemd.machine import Machine

SESSION = "/out/session.sh"
VARIABLES = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "QEMU_CPU": "cortex-a76",  # dot products and float16, as the boards have
}

# /sys is not mounted: an emulated system would find this machine's processor in it.
ENTER = """
set -e
mount -t tmpfs tmpfs "$3"
mkdir "$3/upper" "$3/work" "$3/merged"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" "$3/merged"
root=$3/merged
mkdir -p "$root/out"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
for node in null zero full random urandom; do
    [ -e "$root/dev/$node" ] || touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mount --bind "$2" "$root/out"
ip link set lo up 2>/dev/null || chroot "$root" ip link set lo up
exec chroot "$root" /bin/sh /out/session.sh
"""


def write_session(out: Path, blocks: list[str]) -> None:
    """A shell that stops at the first command that fails, and says before each what it does."""
    (out / "session.sh").write_text("set -ex\n" + "\n".join(blocks), encoding="utf-8")


def run_in_machine(machine: Machine, blocks: list[str], timeout_s: float) -> str:
    """What the session printed. Raises AssertionError with the end of it when a command fails, or nothing ends."""
    write_session(machine.out, blocks)
    said = machine.out / "session.log"
    try:
        done = machine.run("sh", "-c", f"exec sh {SESSION} >/out/session.log 2>&1", check=False, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"not ended after {timeout_s} s:\n{said.read_text()[-8000:]}") from None
    assert done.returncode == 0, said.read_text()[-8000:]
    return said.read_text()


def run_in_root(root: Path, out: Path, blocks: list[str], timeout_s: float) -> str:
    """The same without systemd. `out` is /out inside."""
    (overlay := out.with_name("overlay")).mkdir()
    write_session(out, blocks)
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    done = subprocess.run(
        [*alone, "sh", "-c", ENTER, "enter", str(root), str(out), str(overlay)],
        env=VARIABLES,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout
