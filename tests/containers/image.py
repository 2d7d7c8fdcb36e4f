"""Images that buildah makes by the Containerfile on bases that mmdebstrap makes; no registry or container engine is needed.

The bases hold unpacked packages and nothing more, as no script of a package has run in them; the Containerfile finds there
what it would install otherwise.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
_SHELL = "base-files,coreutils,dash,libc-bin"
_RUN_PACKAGES = f"{_SHELL},libpython3-stdlib,libstdc++6,python3-minimal"
_BUILD_PACKAGES = f"{_SHELL},bash,binutils,findutils,grep,python3-venv,sed"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NATIVE = _ARCHITECTURES.get(platform.machine(), "")


def why_not() -> str:
    """Why this host cannot build and run containers; empty if it can."""
    if os.geteuid() != 0:
        return "building and running containers needs root"
    if missing := [name for name in ("buildah", "mmdebstrap", "runc") if not shutil.which(name)]:
        return f"{', '.join(missing)} is not installed (Debian: apt-get install {' '.join(missing)})"
    if not NATIVE:
        return f"images are made for x86-64 and ARM64, not for {platform.machine()}"
    if not Path("/sys/fs/cgroup/memory").is_dir():
        return "/sys/fs/cgroup has no memory: only the hybrid layout of cgroups is supported here"
    return ""


class Image:
    """`config` as the Containerfile gave it, `root` its files: several containers may run on them, read-only."""

    def __init__(self, directory: Path) -> None:
        """The directory is one that `build` made."""
        described = json.loads((directory / "image.json").read_text())
        self.architecture: str = described["architecture"]
        self.config: dict[str, Any] = described["config"]
        self.root = directory / "root"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.lstat().st_size for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())


def build(out: Path, architecture: str = NATIVE, *, ready: dict[str, str] | None = None) -> None:
    """Write what the Containerfile makes for amd64 or arm64 to a new directory.

    ready: files and directories to show in the build stage, by their paths there.
    """
    work = out.with_name(f"{out.name}.buildah")
    work.mkdir()
    builder = _Builder(work)
    try:
        builder.build(out, architecture, ready or {})
    finally:
        builder.unmount()
        shutil.rmtree(work)


class _Builder:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._options = [f"--root={directory / 'storage'}", f"--runroot={directory / 'run'}"]

    def build(self, out: Path, architecture: str, ready: dict[str, str]) -> None:
        compiler = "g++" if architecture == NATIVE else f"g++-{_MACHINES[architecture]}-linux-gnu"
        build_base = self._make_base("build", NATIVE, f"{_BUILD_PACKAGES},{compiler}")
        base = self._make_base("run", architecture, _RUN_PACKAGES)
        tag = f"localhost/youtu-edge:{architecture}"
        pip = self._pip_configuration()
        volumes = {path: f"{path}:ro" for path in _paths_named_in(pip)} | ready
        self._buildah(
            *("bud", "--format=docker", "--pull-never", "--isolation=chroot", f"--platform=linux/{architecture}"),
            *(f"--build-arg=BASE={base}", f"--build-arg=BUILD_BASE={build_base}"),
            f"--build-arg=BUILDPLATFORM=linux/{NATIVE}",  # buildah 1.28 does not set it by itself
            *(f"--secret=id=pip,src={pip}", *(f"--volume={path}:{inside}" for path, inside in volumes.items())),
            *(f"--file={ROOT / 'Containerfile'}", f"--tag={tag}", str(ROOT)),
        )
        container = self._buildah("from", "--pull-never", tag)
        out.mkdir()
        _run("cp", "--archive", self._buildah("mount", container), str(out / "root"))
        described = json.loads(self._buildah("inspect", "--type=image", tag))["Docker"]
        (out / "image.json").write_text(json.dumps(described))

    def unmount(self) -> None:
        """Whatever is mounted, so that the directory can be removed."""
        self._buildah("umount", "--all")

    def _make_base(self, name: str, architecture: str, packages: str) -> str:
        tag = f"localhost/{name}:{architecture}"
        container = self._buildah("from", "scratch")
        options = ["--quiet", "--variant=extract", f"--architecture={architecture}", f"--include={packages}"]
        _run("mmdebstrap", *options, SUITE, self._buildah("mount", container))
        self._buildah("umount", container)
        self._buildah("config", f"--arch={architecture}", container)
        self._buildah("commit", "--quiet", container, tag)
        self._buildah("rm", container)
        return tag

    def _pip_configuration(self) -> Path:
        """What pip uses on this machine, from its files and environment, as one file."""
        settings: dict[str, str] = {}
        for line in _run(sys.executable, "-m", "pip", "config", "list").splitlines():
            name, _, value = line.partition("=")
            settings[name.rpartition(".")[2]] = value.strip("'").replace("\\n", " ")
        file = self._directory / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        return file

    def _buildah(self, *arguments: str) -> str:
        return _run("buildah", *self._options, *arguments)


_MACHINES = {name: machine.replace("_", "-") for machine, name in _ARCHITECTURES.items()}


def _paths_named_in(configuration: Path) -> list[str]:
    """Files and directories that the build stage has to see: of a package index, the files beside it too."""
    paths = set()
    for word in configuration.read_text().split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            paths.add(str(path.parent if word.startswith("file://") else path))
    return sorted(paths)


def _run(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()
