"""A Debian 12 for ARM64 in build/arm64, whose programs run under qemu-user; it contains the checkout with an ARM64 library.

The library is that of the wheel (scripts/build-wheels); our dependencies, and those of the tests, come from PyPI's ARM64
wheels. No ARM64 program runs while it is made. Needs root, a network the first time, and PROGRAMS.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / "build" / "arm64"
PYTHON = "3.11"
"""Debian 12's."""
PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "update-binfmts": "binfmt-support",
    "mmdebstrap": "mmdebstrap",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "unshare": "util-linux",
}
"""Each with its Debian package."""

_DEBIAN = (
    "python3", "python3-venv", "libstdc++6", "procps", "util-linux", "mount", "dash", "bash", "coreutils", "findutils",
    "grep", "sed", "tar", "gzip", "passwd", "base-passwd", "ca-certificates",
)  # fmt: skip
_NOT_ON_ARM = ("mypy", "ruff", "types-", "playwright", "axe-playwright")
"""Requirements of [dev] that are not needed here: style checks and a browser."""
_QUICK = ("hypothesis", "ml-dtypes", "onnx", "pytest", "safetensors")
"""What the operators' tests need of the extras."""
_WITHOUT_WHEEL = ("sdnotify>=0.3.2",)
_COPIED = (
    "config", "daemon", "docs", "examples", "export", "scripts", "systemd", "tests", "pyproject.toml", "CMakeLists.txt",
)  # fmt: skip
"""What is copied from the checkout."""
LIBRARY = "youtu_edge/ops/libyoutu_edge_ops.so"
_NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
_VARIABLES = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
    "PYTHONPATH=/checkout/tests", "PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1",
)  # fmt: skip
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs"
"""As the kernel reports them for a Cortex-A76."""


def why_not() -> str:
    """Why ARM64 programs cannot run here, in words; empty if they can."""
    if os.geteuid() != 0:
        return "an emulated ARM64 root needs root: mounts and chroot"
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        packages = " ".join(PROGRAMS[name] for name in missing)
        return f"{', '.join(missing)} is not installed; on Debian: apt-get install --no-install-recommends {packages}"
    return _enable_binfmt()


def _enable_binfmt() -> str:
    """Have the kernel start ARM64 programs with qemu; returns the reason if it cannot."""
    if not (_BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT], check=False, capture_output=True)
    if not (_BINFMT / "qemu-aarch64").exists():
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], check=False, capture_output=True)
    return (
        ""
        if (_BINFMT / "qemu-aarch64").exists()
        else "this kernel does not start ARM64 programs: no binfmt_misc for qemu-aarch64"
    )


class Arm64Root:
    """Made by `prepare`; `run` then runs commands in it. `cpu` is one of qemu's names: cortex-a76, cortex-a57, max."""

    def __init__(self, cpu: str = "cortex-a76", home: Path = HOME) -> None:
        self.cpu, self.home = cpu, home
        self.path = home / "root"

    def prepare(self, *, quick: bool = False) -> None:
        """Make what is missing or out of date; one process at a time. Raises CalledProcessError.

        quick: with only the libraries that the operators' tests need.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with locked(self.home / "lock"):
            self._make_debian()
            self._add_users()
            self._install_libraries("site-quick" if quick else "site", _QUICK if quick else ("",))
            self._copy_checkout(build_wheel())
            self._add_to_python_path("site-quick" if quick else "site")
            self._describe_system()

    def run(
        self,
        command: Sequence[str | Path],
        *,
        binds: Mapping[Path, str] | None = None,
        timeout_s: float | None = None,
        capture: bool = True,
        models: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in its /checkout; when it ends, everything that it started is killed.

        binds: directories of this machine to mount inside, read-only. capture: return stdout and stderr instead of
        showing them. models: mount what the checkout has in models/.
        """
        mounted = {CHECKOUT / "models": "/checkout/models"} if models else {}
        mounted |= binds or {}
        mounts = [f"{path}:{inside}" for path, inside in mounted.items() if path.is_dir()]
        inside = ["--chdir=/checkout", *_VARIABLES, f"QEMU_CPU={self.cpu}"]
        enter = CHECKOUT / "scripts/emulation/enter.sh"
        return subprocess.run(
            [*_NAMESPACES, "bash", enter, self.path, self.home / "system", *mounts, "--", "env", "-i", *inside, *command],
            stdin=subprocess.DEVNULL,
            capture_output=capture,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _make_debian(self) -> None:
        if self._is_made(self.path, " ".join(_DEBIAN)):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        options = ["--quiet", "--variant=extract", "--arch=arm64", f"--include={','.join(_DEBIAN)}"]
        subprocess.run(["mmdebstrap", *options, "bookworm", self.path], check=True)
        self._note(self.path, " ".join(_DEBIAN))

    def _add_users(self) -> None:
        """Users such as nobody, as base-passwd adds them when it is configured, which would run ARM64 programs."""
        for name in ("passwd", "group"):
            shutil.copy2(self.path / "usr/share/base-passwd" / f"{name}.master", self.path / "etc" / name)

    def _install_libraries(self, name: str, extras_begin_with: tuple[str, ...]) -> None:
        """Install our dependencies and those of the tests into /NAME: pip unpacks wheels for any processor."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        more = [each for each in (*extras["export"], *extras["hub"], *extras["dev"]) if each.startswith(extras_begin_with)]
        wanted = sorted({*project["dependencies"], *(each for each in more if not each.startswith(_NOT_ON_ARM))})
        site, made_of = self.path / name, "\n".join(wanted)
        if self._is_made(site, made_of):
            return
        shutil.rmtree(site, ignore_errors=True)
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)]
        options = [*platforms, "--platform=manylinux2014_aarch64", f"--python-version={PYTHON}", "--only-binary=:all:"]
        pip, quiet = [sys.executable, "-m", "pip"], ["-qq", "--disable-pip-version-check"]
        with tempfile.TemporaryDirectory() as pure:  # packages without a wheel are pure Python
            subprocess.run([*pip, "wheel", *quiet, "--no-deps", "--wheel-dir", pure, *_WITHOUT_WHEEL], check=True)
            target = ["--target", site, "--no-compile", "--find-links", pure]
            subprocess.run([*pip, "install", *quiet, *target, *options, *wanted], check=True)
        self._note(site, made_of)

    def _copy_checkout(self, wheel: Path) -> None:
        """Copy the sources, and from the wheel the operator library and its metadata."""
        target, made_of = self.path / "checkout", hashlib.sha256(wheel.read_bytes())
        for path in sorted(_sources()):
            made_of.update(f"{path}\0".encode() + (CHECKOUT / path).read_bytes())
        if self._is_made(target, made_of.hexdigest()):
            return
        shutil.rmtree(target, ignore_errors=True)
        for path in _sources():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / path, target / path)
        with zipfile.ZipFile(wheel) as archive:
            named = [name for name in archive.namelist() if ".dist-info/" in name]  # the version, which packages record
            archive.extractall(target / "daemon", [*named, LIBRARY])
        self._note(target, made_of.hexdigest())

    def _add_to_python_path(self, site: str) -> None:
        """Like an editable installation, because some tests start processes without PYTHONPATH."""
        directory = self.path / f"usr/local/lib/python{PYTHON}/dist-packages"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "checkout.pth").write_text(f"/checkout/daemon\n/checkout/export\n/{site}\n")

    def _describe_system(self) -> None:
        """Write /proc/cpuinfo and the few files of /sys that ONNX Runtime reads, as on a board."""
        cores, system = os.cpu_count() or 1, self.home / "system"
        described = f"BogoMIPS\t: 48.00\nFeatures\t: {_FEATURES}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        described += "CPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
        (system / "sys/devices/system/cpu").mkdir(parents=True, exist_ok=True)
        (system / "cpuinfo").write_text("".join(f"processor\t: {core}\n{described}" for core in range(cores)))
        for name in ("possible", "present", "online"):
            (system / "sys/devices/system/cpu" / name).write_text(f"0-{cores - 1}\n" if cores > 1 else "0\n")

    def _stamp(self, made: Path) -> Path:
        return self.home / f".{made.name}-made-of"

    def _is_made(self, made: Path, made_of: str) -> bool:
        stamp = self._stamp(made)
        return made.is_dir() and stamp.is_file() and stamp.read_text() == _hash(made_of)

    def _note(self, made: Path, made_of: str) -> None:
        self._stamp(made).write_text(_hash(made_of))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_wheel() -> Path:
    """Our wheel for ARM64, cross-compiled unless it is in dist/. tests/wheelhouse.py uses the same lock."""
    with locked(CHECKOUT / "build" / "wheelhouse.lock"):
        command = [CHECKOUT / "scripts/build-wheels", "aarch64"]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return CHECKOUT / text.splitlines()[-1]


def _sources() -> list[Path]:
    """Files of the checkout that tests read, relative to it."""
    files = [path for name in _COPIED for path in [CHECKOUT / name, *(CHECKOUT / name).rglob("*")] if path.is_file()]
    return [path.relative_to(CHECKOUT) for path in files if "__pycache__" not in path.parts and path.suffix != ".so"]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
