"""A booted systemd on an overlay of this machine's root, or another one: what it does leaves no trace here.

Needs root, systemd-nspawn (Debian and Ubuntu: systemd-container) and cgroup v1 hierarchies, as a container of a CI system
has them. Commands run inside through nsenter; with the host's network HTTP reaches the daemon at 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

HIERARCHIES = ("memory", "pids", "systemd", "unified")
INIT = "/lib/systemd/systemd"

# $1 directory for the overlay, $2 directory that is /out inside, $3 the root below the overlay, then the cgroups to join,
# "--" and options of nspawn.
# The mounts are in a private namespace and vanish with the last process.
BOOT = """
set -e
overlay=$1 out=$2 root=$3
shift 3
mount -t tmpfs tmpfs "$overlay"
mkdir "$overlay"/upper "$overlay"/work "$overlay"/merged
mount -t overlay overlay -o "lowerdir=$root,upperdir=$overlay/upper,workdir=$overlay/work" "$overlay/merged"
rm -rf "$overlay"/merged/etc/systemd/system/*
cat >"$overlay/merged/etc/systemd/system/default.target" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
AllowIsolate=yes
UNIT
while [ "$1" != -- ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
shift
exec setpriv --pdeathsig KILL systemd-nspawn --quiet --directory "$overlay/merged" --register=no --keep-unit \
    --console=pipe --bind="$out":/out "$@" /out/init systemd.mask=getty.target
"""

# Without write access to these two hierarchies the limits of units are silently not enforced.
INIT_SCRIPT = f"""#!/bin/sh
mount -o remount,bind,rw /sys/fs/cgroup/memory
mount -o remount,bind,rw /sys/fs/cgroup/pids
exec {INIT} "$@"
"""


def why_not() -> str:
    """Why this host cannot boot a machine; empty if it can."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    if missing := [name for name in ("systemd-nspawn", "nsenter", "setpriv", "unshare") if not shutil.which(name)]:
        return f"{', '.join(missing)} is not installed (Debian and Ubuntu: systemd-container, util-linux)"
    if not os.access(INIT, os.X_OK):
        return f"{INIT} is not installed"
    if absent := [name for name in HIERARCHIES if not (Path("/sys/fs/cgroup") / name).is_dir()]:
        return f"/sys/fs/cgroup has no {', '.join(absent)}: only the hybrid layout of cgroups is supported here"
    return ""


class Machine:
    """Use as a context manager; `out` is this machine's directory that the booted one sees as /out."""

    def __init__(
        self, directory: Path, binds: dict[Path, str], *, root: Path = Path("/"), has_network: bool = True
    ) -> None:
        """`binds`: directories of this machine to show inside, read-only. Without network only the loopback is there."""
        self.out = directory / "out"
        self.out.mkdir()
        (directory / "overlay").mkdir()
        init = self.out / "init"
        init.write_text(INIT_SCRIPT)
        init.chmod(0o755)
        self._cgroups = [own_cgroup(name) / f"booted-{os.getpid()}" for name in HIERARCHIES]
        for cgroup in self._cgroups:
            cgroup.mkdir()
        self._log = (directory / "console.log").open("w+b")
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT, "boot"]
            + [str(directory / "overlay"), str(self.out), str(root), *map(str, self._cgroups), "--"]
            + [f"--bind-ro={path}:{inside}" for path, inside in binds.items()]
            + ([] if has_network else ["--private-network"]),
            env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._init_pid = 0

    def __enter__(self) -> Machine:
        try:
            wait_until(self._is_up, 60, lambda: "the machine does not boot:\n" + self._console())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill all its processes; its state is discarded, so it needs no shutdown."""
        if self._init_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init_pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        self._log.close()
        for cgroup in self._cgroups:
            for directory, _, _ in os.walk(cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    @property
    def root(self) -> Path:
        """Its root directory with everything mounted in it, as seen from here."""
        return Path(f"/proc/{self._init_pid}/root")

    def run(self, *command: str, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command inside; its stdout holds stderr as well. `check`: fail the test unless it exits with 0."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._init_pid), "-m", "-u", "-i", "-n", "-p", "-C", *command],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}")
        return done

    def write(self, path: str, text: str) -> None:
        """Replace a file inside, readable by all users."""
        (self.out / "file").write_text(text)
        self.run("install", "-D", "-m", "644", "/out/file", path)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"systemd-nspawn exited with {self._process.returncode}:\n{self._console()}")
        # The last of nspawn's children; before it executes init it is nspawn itself, in namespaces that are not finished.
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if not os.readlink(f"/proc/{children[-1]}/exe").endswith("/systemd"):
                return False
        except (OSError, IndexError):
            return False
        self._init_pid = int(children[-1])
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}

    def _console(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


def own_cgroup(hierarchy: str) -> Path:
    """Directory of this process's cgroup in a v1 hierarchy, or in `unified`."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.removeprefix("name=").split(",")
        if hierarchy in names or (hierarchy == "unified" and not controllers):
            return Path("/sys/fs/cgroup") / hierarchy / path.lstrip("/")
    raise AssertionError(f"/proc/self/cgroup has no {hierarchy}")


def wait_until(condition: Callable[[], object], timeout_s: float, explain: Callable[[], str] = lambda: "") -> None:
    """Poll until the condition holds; fails with the explanation."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, explain() or "this did not happen in time"
        time.sleep(0.05)
